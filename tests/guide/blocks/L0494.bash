# Deploy with custom .env file
sindri deploy --env-file /path/to/custom.env

# Use relative path (relative to sindri.yaml location)
sindri deploy --env-file config/production.env

# Combine with custom config location
sindri deploy --config /path/to/sindri.yaml --env-file /path/to/.env

# Validate secrets using default .env files
sindri secrets validate

# Validate with custom .env file
sindri secrets validate --env-file /path/to/custom.env

# Output:
# Validating secrets from sindri.yaml...
# [OK] ANTHROPIC_API_KEY (env): Found in .env.local
# [OK] GITHUB_TOKEN (env): Found in shell environment
# [OK] TLS_CERT (file): Found at ./certs/tls.crt (1.2 KB)
# [OK] DATABASE_PASSWORD (vault): Retrieved successfully
# [WARN] OPTIONAL_KEY (env): Not found (optional, will not be set)

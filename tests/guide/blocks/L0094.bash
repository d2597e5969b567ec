# Validate secrets are resolvable
sindri secrets validate

# Deploy
sindri deploy

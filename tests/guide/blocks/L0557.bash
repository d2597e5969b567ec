sindri secrets list

# Output:
# Configured secrets in sindri.yaml:
#
# Environment Variables (source: env):
#   - ANTHROPIC_API_KEY (required)
#   - GITHUB_TOKEN (required)
#   - LOG_LEVEL
#
# Files (source: file):
#   - TLS_CERT -> /etc/ssl/certs/app.crt (0644)
#   - TLS_KEY -> /etc/ssl/private/app.key (0600)
#
# Vault (source: vault):
#   - DATABASE_PASSWORD <- secret/data/sindri/prod/database:password (required)
#
# S3 (source: s3):
#   - API_SECRET <- anthropic/api-key (required)

# Push all secrets from .env.local
sindri secrets s3 push-from-env .env.local

# Or individually
sindri secrets s3 push ANTHROPIC_API_KEY

# .env (committed - safe defaults)
NODE_ENV=development
LOG_LEVEL=debug

# .env.local (gitignored - personal secrets)
ANTHROPIC_API_KEY=sk-ant-api03-...
GITHUB_TOKEN=ghp_...
DATABASE_PASSWORD=local_dev_password

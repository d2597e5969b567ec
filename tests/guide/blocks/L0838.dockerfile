# Auto-generated in e2b.Dockerfile
ENV ANTHROPIC_API_KEY="sk-ant-..."
ENV DATABASE_PASSWORD="..."

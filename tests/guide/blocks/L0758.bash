# Sindri automatically runs:
flyctl secrets import -a my-app
# (Secrets piped via stdin for security)

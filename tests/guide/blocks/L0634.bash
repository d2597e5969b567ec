# Push from value
sindri secrets s3 push ANTHROPIC_API_KEY --value "sk-ant-api03-..."

# Push from file
sindri secrets s3 push TLS_CERT --from-file ./certs/tls.crt

# Push from stdin
cat secret.txt | sindri secrets s3 push MY_SECRET --stdin

# Push with custom S3 path
sindri secrets s3 push DATABASE_PASSWORD \
  --value "super_secret" \
  --s3-path database/main/password

# Force overwrite existing
sindri secrets s3 push API_KEY --value "new_key" --force

# Pull and display (with confirmation)
sindri secrets s3 pull ANTHROPIC_API_KEY --show

# Export as environment variable
eval $(sindri secrets s3 pull ANTHROPIC_API_KEY --export)

# Write to file
sindri secrets s3 pull TLS_CERT --output ./certs/tls.crt

# Initialize S3 backend
sindri secrets s3 init --bucket my-secrets --region us-east-1

# Output:
# Generating master key...
# Master key saved to .sindri-master.key
# Public key: age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p
# Bucket exists and is accessible
# S3 backend initialized

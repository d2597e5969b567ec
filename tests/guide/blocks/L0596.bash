sindri secrets s3 init \
  --bucket my-secrets \
  --region us-east-1 \
  --create-bucket \
  --output sindri-s3.yaml

# Options:
#   --bucket        S3 bucket name (required)
#   --region        AWS region (required)
#   --endpoint      Custom S3-compatible endpoint
#   --key-file      Master key path (default: .sindri-master.key)
#   --create-bucket Create bucket if not exists
#   --output        Write config to file

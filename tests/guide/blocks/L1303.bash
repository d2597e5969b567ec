sindri secrets s3 init --bucket my-team-secrets --region us-east-1

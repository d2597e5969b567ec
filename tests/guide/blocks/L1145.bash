# Team lead initializes
sindri secrets s3 init --bucket team-secrets --region us-east-1
sindri secrets s3 push ANTHROPIC_API_KEY --value "sk-ant-..."

# Share master key securely (1Password, encrypted email, etc.)
# DO NOT commit to git

# Team member onboards
# Save master key to ~/.sindri/master.key (0600)
sindri secrets s3 sync
sindri deploy

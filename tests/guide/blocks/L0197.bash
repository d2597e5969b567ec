# Set environment variables
export VAULT_ADDR='https://vault.company.com'
export VAULT_TOKEN='hvs.xxxxx'

# Verify connection
vault status

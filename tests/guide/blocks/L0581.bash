sindri secrets test-vault

# Output:
# Testing Vault connection...
# [OK] VAULT_ADDR set: https://vault.company.com
# [OK] VAULT_TOKEN available
# [OK] Vault connection successful
# [OK] Token valid (TTL: 3600s)

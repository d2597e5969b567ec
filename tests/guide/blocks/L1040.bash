# Vault supports automatic rotation and versioning
vault kv put secret/sindri/prod/database password=new_password

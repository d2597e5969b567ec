sindri secrets s3 keygen --output ~/.sindri/master.key

# Output:
# Generate Master Key
# Output: /home/user/.sindri/master.key
# Algorithm: age X25519
#
# Generating age keypair...
# Master key generated successfully
# Public key: age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p
#
# IMPORTANT: Keep this key secure and backed up!
# Add to .gitignore to prevent committing to version control
#
#   echo '.sindri-master.key' >> .gitignore

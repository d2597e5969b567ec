# Set build-time secrets via shell environment
export NPM_TOKEN="npm_abc123"
export GITHUB_TOKEN="ghp_xyz789"

# Build image (secrets used temporarily)
sindri vm build --cloud aws --name my-image

# Secrets are:
# 1. Used during build to install private packages
# 2. Cleaned by cleanup.sh before snapshot
# 3. NOT present in the final AMI/image

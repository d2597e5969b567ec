# Preview sync (dry run)
sindri secrets s3 sync --dry-run

# Push local to remote
sindri secrets s3 sync --direction push

# Pull remote to local
sindri secrets s3 sync --direction pull

# Bidirectional sync
sindri secrets s3 sync --direction both

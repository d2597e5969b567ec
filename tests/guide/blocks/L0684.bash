# Generate new key
sindri secrets s3 keygen --output ~/.sindri/new-master.key

# Rotate secrets to new key
sindri secrets s3 rotate \
  --new-key ~/.sindri/new-master.key \
  --old-key ~/.sindri/master.key

# Add new key without removing old (gradual rollout)
sindri secrets s3 rotate \
  --new-key ~/.sindri/new-master.key \
  --add-only

# Generate new master key
sindri secrets s3 keygen --output ~/.sindri/new-master.key

# Rotate to new key
sindri secrets s3 rotate --new-key ~/.sindri/new-master.key

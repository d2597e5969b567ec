# Distribute master key securely
# Team members save to ~/.sindri/master.key (0600)
sindri secrets s3 sync
sindri deploy

"""The targets: each turns a manifest and its secrets into a plan, checks it, and carries it out."""

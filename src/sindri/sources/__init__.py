"""The sources: each answers a batch of candidates."""

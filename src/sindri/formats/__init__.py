"""One small pure module for each grammar that secrets are read from or written to.

The only room that decodes plaintext. No module here knows another one.
"""

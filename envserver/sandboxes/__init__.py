"""Where untrusted programs run: one contract in `base`, and a backend a file."""

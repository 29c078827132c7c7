"""One file an environment."""

"""OpenEnv's wire: its frames, its socket and its routes."""

"""Where Envs live."""

"""What the sandbox `docker` is made of, beside the fork server."""

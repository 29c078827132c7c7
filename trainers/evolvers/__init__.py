"""Who writes skills from what went wrong, one way a file."""

"""A file for each family of problems."""

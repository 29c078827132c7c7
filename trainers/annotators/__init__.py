"""Who writes the thoughts of demonstrations, one way a file."""

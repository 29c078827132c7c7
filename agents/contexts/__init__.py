"""What the policy sees of the history, one strategy a file."""

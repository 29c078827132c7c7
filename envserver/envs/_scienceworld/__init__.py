"""What the ScienceWorld environment is made of."""

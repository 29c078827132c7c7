"""A stage: a locked-in child with torch that hands tensors to a referee, which lives in another process."""

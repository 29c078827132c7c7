"""Helpers of the kernel world."""

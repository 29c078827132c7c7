"""Families of projects, one a file: what may be called otherwise, and what is checked of it."""

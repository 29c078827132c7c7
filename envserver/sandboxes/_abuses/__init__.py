"""Attacks on a sandbox, each bounded, so that it can be tried where nothing holds it."""

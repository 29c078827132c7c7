"""Adapters of the session table to the wires of the field."""

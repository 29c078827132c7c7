"""A policy that is served, and learns when nobody needs it."""

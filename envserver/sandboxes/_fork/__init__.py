"""The fork server of the sandboxes: what runs in the worker, and what runs in the fresh process it starts.

All but `client` and `shelter` import the standard library alone: they live in a process without this package's others.
"""

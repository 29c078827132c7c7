"""Caches in front of each other, and what makes a value that none of them has."""

from .bounded import Bounded


class Layers:
    """A small cache before a larger one; what the second has is brought to the first."""

    def __init__(self, make, near=2, far=6):
        self.make = make
        self.near = Bounded(near)
        self.far = Bounded(far)
        self.made = 0

    def get(self, key):
        """The value of a key: of the near cache, else of the far one, else made and kept in both."""
        missing = object()
        value = self.near.get(key, missing)
        if value is not missing:
            return value
        value = self.far.get(key, missing)
        if value is missing:
            value = self.make(key)
            self.made += 1
            self.far.put(key, value)
        self.near.put(key, value)
        return value

    def drop(self, key):
        """Forget a key everywhere; whether any cache had it."""
        here = self.near.remove(key)
        there = self.far.remove(key)
        return here or there

    def warm(self, keys):
        """Make what is missing of the keys; how many were made."""
        before = self.made
        for key in keys:
            self.get(key)
        return self.made - before

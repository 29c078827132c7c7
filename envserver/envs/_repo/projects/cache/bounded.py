"""A cache of so many values; the one that was not used for longest goes first."""

SIZE = 4


class Bounded:
    """Keys to values, in the order of their last use."""

    def __init__(self, size=SIZE):
        if size < 1:
            raise ValueError("at least one value has to be held")
        self.size = size
        self._values = {}
        self.hits = 0
        self.misses = 0

    def put(self, key, value):
        """Keep a value; returns the keys that had to go for it."""
        self._values.pop(key, None)
        self._values[key] = value
        gone = []
        while len(self._values) > self.size:
            oldest = next(iter(self._values))
            del self._values[oldest]
            gone.append(oldest)
        return gone

    def get(self, key, default=None):
        """The value, which is the last used one then."""
        if key not in self._values:
            self.misses += 1
            return default
        self.hits += 1
        value = self._values.pop(key)
        self._values[key] = value
        return value

    def peek(self, key, default=None):
        """The value, which is not used by that and not counted."""
        return self._values.get(key, default)

    def keys(self):
        """Keys, the longest unused first."""
        return list(self._values)

    def resize(self, size):
        """Hold another number of values; returns the keys that had to go."""
        if size < 1:
            raise ValueError("at least one value has to be held")
        self.size = size
        gone = self.keys()[: max(0, len(self._values) - size)]
        for key in gone:
            del self._values[key]
        return gone

    def remove(self, key):
        """Forget a value; whether there was one."""
        if key not in self._values:
            return False
        del self._values[key]
        return True

    def rate(self):
        """Hits of all gets, in percent, rounded down; 0 where there were none."""
        asked = self.hits + self.misses
        if asked == 0:
            return 0
        return self.hits * 100 // asked

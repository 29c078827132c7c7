"""Places and roads that can be gone one way or both."""

TOLL = 2


class NoSuchPlace(KeyError):
    """Raised for a place that is not there."""


class Network:
    """Roads with a length; a toll road costs more than its length."""

    def __init__(self):
        self._roads = {}

    def place(self, name):
        """Note a place; one that is there stays as it is."""
        self._roads.setdefault(name, {})

    def connect(self, start, end, length=1, both=True, toll=False):
        """Build a road; a second one between the same places counts only where it costs less."""
        if length <= 0:
            raise ValueError("a road has a length")
        self.place(start)
        self.place(end)
        cost = length * TOLL if toll else length
        for here, there in ((start, end), (end, start)) if both else ((start, end),):
            known = self._roads[here].get(there)
            if known is None or cost < known:
                self._roads[here][there] = cost

    def close(self, start, end):
        """Take a road out in both directions; whether there was one."""
        there = self._roads.get(start, {}).pop(end, None)
        back = self._roads.get(end, {}).pop(start, None)
        return there is not None or back is not None

    def places(self):
        """Names of all places, in order."""
        return sorted(self._roads)

    def neighbours(self, name):
        """Place -> cost of the road to it. Raises NoSuchPlace."""
        if name not in self._roads:
            raise NoSuchPlace(name)
        return dict(self._roads[name])

    def dead_ends(self):
        """Places from which at most one road leads, in order."""
        return [name for name in self.places() if len(self._roads[name]) <= 1]

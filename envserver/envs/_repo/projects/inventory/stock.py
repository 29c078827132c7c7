"""What lies in a warehouse, by the name of the part."""

CAPACITY = 100


class OutOfStock(ValueError):
    """Raised where more is asked for than there is."""


class Stock:
    """Counts of parts; all together they fit the capacity."""

    def __init__(self, capacity=CAPACITY):
        self.capacity = capacity
        self._counts = {}

    def add(self, part, units=1):
        """Put units in; returns how many found room."""
        if units < 0:
            raise ValueError("units cannot be negative")
        accepted = min(units, self.capacity - self.total())
        if accepted > 0:
            self._counts[part] = self._counts.get(part, 0) + accepted
        return accepted

    def take(self, part, units=1):
        """Take units out; returns what is left. A part with none left is forgotten."""
        held = self._counts.get(part, 0)
        if units > held:
            raise OutOfStock(f"{part}: {units} asked for, {held} there")
        left = held - units
        if left == 0:
            self._counts.pop(part, None)
        else:
            self._counts[part] = left
        return left

    def held(self, part):
        """How many there are of a part."""
        return self._counts.get(part, 0)

    def total(self):
        """How many units there are in all."""
        return sum(self._counts.values())

    def low(self, limit):
        """Parts of which there are fewer than the limit, fewest first, then by name."""
        few = [(units, part) for part, units in self._counts.items() if units < limit]
        return [part for units, part in sorted(few)]

    def snapshot(self):
        """Counts of all parts; changing them changes nothing here."""
        return dict(self._counts)

    def merge(self, other):
        """Move in what another one holds, as far as there is room; the other keeps the rest."""
        for part, units in other.snapshot().items():
            moved = self.add(part, units)
            if moved:
                other.take(part, moved)

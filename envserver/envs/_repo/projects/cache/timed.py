"""A cache whose values end; the time is told, so that nothing depends on a clock."""

LIFE = 10


class Timed:
    """Keys to values that are good for so long."""

    def __init__(self, life=LIFE, refresh=False):
        self.life = life
        self.refresh = refresh
        self._kept = {}

    def put(self, key, value, now, life=None):
        """Keep a value from now on, for a life of its own where one is given."""
        ends = now + (self.life if life is None else life)
        self._kept[key] = (value, ends)

    def get(self, key, now, default=None):
        """The value while it is good; it ends when its life is over. With refresh, its life begins anew."""
        if key not in self._kept:
            return default
        value, ends = self._kept[key]
        if now >= ends:
            del self._kept[key]
            return default
        if self.refresh:
            self._kept[key] = (value, now + self.life)
        return value

    def left(self, key, now):
        """How long a value is good yet; 0 where it is not."""
        if key not in self._kept:
            return 0
        return max(0, self._kept[key][1] - now)

    def sweep(self, now):
        """Forget what has ended; how many that were."""
        over = [key for key, (_, ends) in self._kept.items() if ends <= now]
        for key in over:
            del self._kept[key]
        return len(over)

    def __len__(self):
        return len(self._kept)

    def next_end(self):
        """When the next value ends; None where there is none."""
        return min((ends for _, ends in self._kept.values()), default=None)

"""One day's appointments."""

from .clock import minutes, spelled

OPENS = "08:00"
CLOSES = "18:00"


class Clash(ValueError):
    """Raised where two appointments would overlap."""


class Planner:
    """Appointments of a day, which do not overlap; one may begin where another ends."""

    def __init__(self, opens=OPENS, closes=CLOSES):
        self.opens = minutes(opens)
        self.closes = minutes(closes)
        self._booked = []

    def book(self, title, start, length):
        """Note an appointment of so many minutes; returns when it ends."""
        begin = minutes(start)
        end = begin + length
        if length <= 0:
            raise ValueError("an appointment takes some time")
        if begin < self.opens or end > self.closes:
            raise ValueError("outside of opening hours")
        for other in self._booked:
            if begin < other["end"] and other["begin"] < end:
                raise Clash(f"{title} overlaps {other['title']}")
        self._booked.append({"title": title, "begin": begin, "end": end})
        self._booked.sort(key=lambda one: one["begin"])
        return spelled(end)

    def titles(self):
        """Titles in the order of the day."""
        return [one["title"] for one in self._booked]

    def cancel(self, title):
        """Take out all appointments of a title; how many there were."""
        before = len(self._booked)
        self._booked = [one for one in self._booked if one["title"] != title]
        return before - len(self._booked)

    def at(self, time):
        """The title of what is on at a time; None where nothing is."""
        now = minutes(time)
        for one in self._booked:
            if one["begin"] <= now < one["end"]:
                return one["title"]
        return None

    def gaps(self, least=1):
        """Free stretches of at least so many minutes, as (start, end)."""
        found = []
        free_from = self.opens
        for one in [*self._booked, {"begin": self.closes, "end": self.closes}]:
            if one["begin"] - free_from >= least:
                found.append((spelled(free_from), spelled(one["begin"])))
            free_from = one["end"]
        return found

    def first_gap(self, length, after=None):
        """When something of this length could begin at the earliest; None where nowhere."""
        earliest = self.opens if after is None else max(self.opens, minutes(after))
        for start, end in self.gaps(length):
            begin = max(minutes(start), earliest)
            if begin + length <= minutes(end):
                return spelled(begin)
        return None

    def busy(self):
        """Minutes that are booked."""
        return sum(one["end"] - one["begin"] for one in self._booked)

"""Days that repeat, counted as whole numbers from a Monday, which is day 0."""

WEEK = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MOST = 50


def weekday(day):
    """The name of a day."""
    return WEEK[day % len(WEEK)]


def occurrences(start, every, until, skip=(), workdays=False):
    """Days from start in steps of `every` up to and with `until`, at most MOST, without those to skip.

    With workdays a day on a weekend moves to the next Monday; a day that is met twice counts once.
    """
    if every < 1:
        raise ValueError("a step is one day or more")
    found = []
    day = start
    while day <= until and len(found) < MOST:
        actual = day
        if workdays and day % 7 >= 5:
            actual = day + 7 - day % 7
        if actual not in skip and actual not in found and actual <= until:
            found.append(actual)
        day += every
    return found

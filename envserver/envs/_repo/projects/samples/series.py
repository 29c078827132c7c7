"""How numbers run."""

WINDOW = 3


def moving(values, window=WINDOW):
    """Means of each stretch of so many values."""
    if window < 1:
        raise ValueError("a window holds at least one value")
    return [sum(values[at : at + window]) / window for at in range(len(values) - window + 1)]


def deltas(values, lag=1):
    """How much each value differs from the one `lag` before it."""
    return [values[at] - values[at - lag] for at in range(lag, len(values))]


def runs(values):
    """(value, how often in a row) for each stretch of one value."""
    found = []
    for value in values:
        if found and found[-1][0] == value:
            found[-1] = (value, found[-1][1] + 1)
        else:
            found.append((value, 1))
    return found


def normalised(values, low=0.0, high=1.0):
    """Values stretched so that the least is `low` and the greatest `high`; all `low` where they are alike."""
    least, most = min(values), max(values)
    if least == most:
        return [low for _ in values]
    return [low + (value - least) / (most - least) * (high - low) for value in values]

"""What numbers are on the whole."""


def mean(values, weights=None):
    """The mean, or the weighted one. Raises ValueError where there is nothing to weigh."""
    values = list(values)
    weights = [1] * len(values) if weights is None else list(weights)
    if len(weights) != len(values):
        raise ValueError("a weight for each value is needed")
    whole = sum(weights)
    if whole == 0:
        raise ValueError("there is nothing to weigh")
    return sum(value * weight for value, weight in zip(values, weights)) / whole


def median(values):
    """The middle value, or the mean of the two in the middle."""
    ranked = sorted(values)
    if not ranked:
        raise ValueError("there is no middle of nothing")
    half = len(ranked) // 2
    if len(ranked) % 2:
        return ranked[half]
    return (ranked[half - 1] + ranked[half]) / 2


def percentile(values, percent):
    """The value below which so many percent lie, between two values in proportion."""
    if not 0 <= percent <= 100:
        raise ValueError("a percentage is 0 to 100")
    ranked = sorted(values)
    if not ranked:
        raise ValueError("there are no values")
    place = (len(ranked) - 1) * percent / 100
    low = int(place)
    high = min(low + 1, len(ranked) - 1)
    return ranked[low] + (ranked[high] - ranked[low]) * (place - low)


def quartiles(values):
    """(25, 50, 75 percent)."""
    return percentile(values, 25), percentile(values, 50), percentile(values, 75)


def spread(values, sample=True):
    """The standard deviation: of a sample, or with all values there are."""
    values = list(values)
    count = len(values) - 1 if sample else len(values)
    if count < 1:
        raise ValueError("there are too few values")
    middle = mean(values)
    return (sum((value - middle) ** 2 for value in values) / count) ** 0.5


def tally(values, width=1):
    """Start of a class -> how many values lie in it; classes of a width, in order, empty ones left out."""
    counts = {}
    for value in sorted(values):
        start = value // width * width
        counts[start] = counts.get(start, 0) + 1
    return counts

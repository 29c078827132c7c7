"""Times of a day, as text and as minutes since midnight."""

DAY_MINUTES = 24 * 60


def minutes(text):
    """Minutes since midnight of "9:05", "21:05" or "9:05pm". Raises ValueError."""
    raw = text.strip().lower()
    half = raw[-2:] if raw.endswith(("am", "pm")) else ""
    hours, colon, rest = raw.removesuffix(half).strip().partition(":")
    if not colon or not hours.isdigit() or not rest.isdigit() or len(rest) != 2:
        raise ValueError(f"no time of day: {text}")
    hour, minute = int(hours), int(rest)
    if half:
        if not 1 <= hour <= 12:
            raise ValueError(f"no hour of half a day: {text}")
        hour = hour % 12 + (12 if half == "pm" else 0)
    if hour > 23 or minute > 59:
        raise ValueError(f"no time of day: {text}")
    return hour * 60 + minute


def spelled(total):
    """The time as "09:05"; minutes beyond a day go on from its beginning."""
    hour, minute = divmod(total % DAY_MINUTES, 60)
    return f"{hour:02d}:{minute:02d}"

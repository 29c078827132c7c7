"""Values of settings as what they mean."""

YES = ("yes", "on", "true", "1")
NO = ("no", "off", "false", "0")
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
SIZES = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


def boolean(text):
    """Whether a text says yes. Raises ValueError where it says neither yes nor no."""
    word = text.strip().lower()
    if word in YES:
        return True
    if word in NO:
        return False
    raise ValueError(f"neither yes nor no: {text}")


def duration(text):
    """Seconds of "1h30m", "90s" or "45"; a number without a unit is seconds."""
    total, digits = 0, ""
    word = text.strip().lower().replace(" ", "")
    if not word:
        raise ValueError("there is no time")
    for char in word:
        if char.isdigit():
            digits += char
        elif char in UNITS and digits:
            total += int(digits) * UNITS[char]
            digits = ""
        else:
            raise ValueError(f"no time is meant by {text}")
    if digits:
        total += int(digits)
    return total


def size(text):
    """Bytes of "10", "4k", "2 MB" or "1.5g"; units are powers of 1024."""
    word = text.strip().lower().removesuffix("b").strip()
    unit = word[-1:] if word[-1:].isalpha() else ""
    number = word[: len(word) - len(unit)].strip()
    if unit not in SIZES or not number.replace(".", "", 1).isdigit():
        raise ValueError(f"no bytes are meant by {text}")
    return int(float(number) * SIZES[unit])


def words(text, separator=",", most=None):
    """Parts of a list without the space around them; empty ones are left out; at most so many, the rest in the last."""
    parts = text.split(separator) if most is None else text.split(separator, most - 1)
    return [part.strip() for part in parts if part.strip()]

"""Single lines and words."""

SMALL = ("a", "an", "and", "of", "or", "the", "to")
MARK = "..."


def clip(text, width, middle=False):
    """The text in at most `width` characters; what is left out shows as a mark, at the end or in the middle."""
    if len(text) <= width:
        return text
    if width <= len(MARK):
        return text[:width]
    room = width - len(MARK)
    if middle:
        tail = room // 2
        return text[: room - tail] + MARK + text[len(text) - tail :]
    return text[:room] + MARK


def slug(text, most=40):
    """Lower-case words joined by '-', without any other sign, of at most `most` characters and no '-' at an end."""
    kept = "".join(char if char.isalnum() else " " for char in text.lower())
    return "-".join(kept.split())[:most].strip("-")


def titled(text):
    """Words with a capital, small words without, except for the first and the last one."""
    found = text.split()
    last = len(found) - 1
    for at, word in enumerate(found):
        if word.lower() in SMALL and 0 < at < last:
            found[at] = word.lower()
        else:
            found[at] = word[:1].upper() + word[1:]
    return " ".join(found)

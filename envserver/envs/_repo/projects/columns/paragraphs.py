"""Paragraphs of several lines."""

WIDTH = 40


def wrap(text, width=WIDTH, first="", rest=""):
    """Lines of at most `width` characters; the first begins with `first`, the others with `rest`.

    A word that is longer than a line is cut.
    """
    if width <= max(len(first), len(rest)):
        raise ValueError("there is no room beside what lines begin with")
    lines = []
    line, empty = first, True
    for word in text.split():
        while True:
            gap = 0 if empty else 1
            if len(line) + gap + len(word) <= width:
                line, empty = line + " " * gap + word, False
                break
            if not empty:
                lines.append(line)
                line, empty = rest, True
                continue
            room = width - len(line)
            lines.append(line + word[:room])
            word = word[room:]
            line = rest
    if not empty:
        lines.append(line)
    return lines


def justify(line, width):
    """The words of a line spread over the width; gaps that are one wider come first."""
    parts = line.split()
    if len(parts) < 2:
        return line.strip()
    spare = width - sum(len(part) for part in parts)
    gaps = len(parts) - 1
    if spare < gaps:
        return " ".join(parts)
    each, wider = divmod(spare, gaps)
    text = parts[0]
    for at, part in enumerate(parts[1:]):
        text += " " * (each + (1 if at < wider else 0)) + part
    return text


def indent(text, by=2, skip_first=False):
    """Every line moved to the right; empty lines stay empty."""
    lines = []
    for at, line in enumerate(text.split("\n")):
        if not line.strip() or (skip_first and at == 0):
            lines.append(line.rstrip())
        else:
            lines.append(" " * by + line)
    return "\n".join(lines)

"""A text as tokens: (kind, text) with kind "number", "name" or "sign"."""

SIGNS = "+-*/%^(),"


def split_tokens(text):
    """All tokens of a text. Raises ValueError for a character that begins none."""
    found = []
    at = 0
    while at < len(text):
        char = text[at]
        if char.isspace():
            at += 1
        elif char.isdigit():
            end = _run(text, at, lambda one: one.isdigit() or one == ".")
            found.append(("number", text[at:end]))
            at = end
        elif char.isalpha() or char == "_":
            end = _run(text, at, lambda one: one.isalnum() or one == "_")
            found.append(("name", text[at:end]))
            at = end
        elif char in SIGNS:
            found.append(("sign", char))
            at += 1
        else:
            raise ValueError(f"unexpected {char!r} at {at}")
    return found


def _run(text, start, belongs):
    """Where the characters that belong together end."""
    end = start
    while end < len(text) and belongs(text[end]):
        end += 1
    return end

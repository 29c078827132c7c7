"""Text with sections and `name = value` lines, as a dict of dicts."""

COMMENT = "#"


class SettingsError(ValueError):
    """Raised for a line that is none, with its number."""


def read(text):
    """Section -> name -> text. What stands before the first section is in section "".

    A value may be in quotes, and goes on in the next line where that is indented.
    """
    found = {}
    section, name = "", None
    for number, line in enumerate(text.split("\n"), 1):
        bare = _without_comment(line).rstrip()
        if not bare.strip():
            continue
        if bare[0].isspace() and name is not None:
            found[section][name] += " " + bare.strip()
            continue
        bare = bare.strip()
        if bare.startswith("[") and bare.endswith("]"):
            section, name = bare[1:-1].strip(), None
            found.setdefault(section, {})
            continue
        key, equals, value = bare.partition("=")
        name = key.strip().lower()
        if not equals or not name:
            raise SettingsError(f"line {number} is no setting")
        found.setdefault(section, {})[name] = _unquoted(value.strip())
    return found


def write(settings):
    """The text that reads as these settings; sections and names in order."""
    lines = []
    for section in sorted(settings):
        if section:
            lines.append(f"[{section}]")
        for name, value in sorted(settings[section].items()):
            quoted = value != value.strip() or COMMENT in value or value == ""
            lines.append(f'{name} = "{value}"' if quoted else f"{name} = {value}")
    return "\n".join(lines)


def _without_comment(line):
    """A line up to a comment that is not in quotes."""
    inside = False
    for at, char in enumerate(line):
        if char == '"':
            inside = not inside
        elif char == COMMENT and not inside:
            return line[:at]
    return line


def _unquoted(value):
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return value[1:-1]
    return value

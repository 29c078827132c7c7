"""How ALFWorld says things: names, lists, sentences, commands, in the words of its text grammar (alfred.twl2, MIT).

Every byte is the package's own, its slips too: a cold apple is "cool and clean" once it is clean, a lamp is never off.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from envserver.envs._alfworld.row import Dialect

__all__ = ["DIALECTS", "HELP", "NOTHING", "Words", "condition", "listed", "named"]

NOTHING = "Nothing happens."
HELP = """\
Available commands:
  look:                             look around your current location
  inventory:                        check your current inventory
  go to (receptacle):               move to a receptacle
  open (receptacle):                open a receptacle
  close (receptacle):               close a receptacle
  take (object) from (receptacle):  take an object from a receptacle
  move (object) to (receptacle):  place an object in or on a receptacle
  examine (something):              examine a receptacle or an object
  use (object):                     use an object
  heat (object) with (receptacle):  heat an object using a receptacle
  clean (object) with (receptacle): clean an object using a receptacle
  cool (object) with (receptacle):  cool an object using a receptacle
  slice (object) with (object):     slice an object using a sharp object
"""


@dataclass(frozen=True, slots=True)
class Words:
    """What differs between the dialects."""

    plain: tuple[str, ...]
    """Commands that are always possible, sorted."""
    put: str
    """The command, of an object and a receptacle."""
    was_put: str
    """Its answer."""
    arrives_at_location: bool
    """Whether an arrival names the location rather than the receptacle."""


DIALECTS: Mapping[Dialect, Words] = {
    "0.4": Words(("help", "inventory", "look"), "move {} to {}", "You move the {} to the {}.", False),
    "0.2": Words(("inventory", "look"), "put {} in/on {}", "You put the {} in/on the {}.", True),
}
LETTERS = (("_minus_", "-"), ("_plus_", "+"), ("_dot_", "."), ("_comma_", ","))
"""How a problem spells what its language has no letters for."""


def named(ids: Iterable[str]) -> dict[str, str]:
    """A name such as "cabinet 3" for each id: numbered by kind, from the last id down."""
    ids = sorted(ids)
    kinds = {one: _kind(one) for one in ids if "_bar_" in one}
    left = Counter(kinds.values())
    names = dict[str, str]()
    for one in ids:
        kind = kinds.get(one)
        if kind is None:
            # The package's own slip: a name without a number ends in a space.
            names[one] = f"{_plain(one)} "
        else:
            names[one] = f"{kind} {left[kind]}"
            left[kind] -= 1
    return names


def _kind(one: str) -> str:
    return _plain(one.split("_bar_", 1)[0]) + ("basin" if "basin" in one else "")


def _plain(text: str) -> str:
    for spelt, letter in LETTERS:
        text = text.replace(spelt, letter)
    return text


def listed(things: Sequence[str]) -> str:
    """ "a, b, and c"; of two "a, and b"."""
    if not things:
        return "nothing"
    if len(things) == 1:
        return things[0]
    return f"{', '.join(things[:-1])}, and {things[-1]}"


def condition(name: str, *, clean: bool, hot: bool, cool: bool, sliced: bool, toggled: bool) -> str:
    """What examining an object says that is no vessel."""
    if sliced:
        if clean and hot:
            return f"This is a hot and clean sliced {name}."
        if clean and cool:
            return f"This is a cool and clean sliced {name}."
        for holds, word in ((clean, "clean"), (hot, "hot"), (cool, "cool")):
            if holds:
                return f"This is a {word} sliced {name}."
    if clean and (hot or cool):
        return f"This is a {'hot' if hot else 'cool'} and clean {name}."
    for holds, word in ((hot, "hot"), (clean, "clean"), (cool, "cold")):
        if holds:
            return f"This is a {word} {name}."
    if toggled:
        return f"This {name} is on."
    if sliced:
        return f"This is a sliced {name}."
    return f"There's nothing special about {name}."

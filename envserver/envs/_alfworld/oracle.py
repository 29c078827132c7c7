"""The way to the goal from any state of a game, in about a millisecond: what to do next, and how far there is to go.

ALFWorld's goals leave few choices: where to leave what is in the hand, which object, taken from where, treated where,
brought where. A plan is the shortest walk over these choices, so every step of a plan brings the distance down by one
at least. An object in the hand that serves the goal is used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from envserver.envs._alfworld.aim import Aim
from envserver.envs._alfworld.deeds import Deed
from envserver.envs._alfworld.play import Game, Play
from envserver.envs._alfworld.state import State, members, replaced

__all__ = ["distance", "plan"]


def plan(play: Play) -> list[str] | None:
    """Commands that win from here: [] if it is won, None if it cannot be won. Raises ValueError for a foreign goal."""
    if play.won:
        return []
    game = play.game
    if game.aim is None:
        raise ValueError(f"the oracle knows ALFWorld's six kinds of goal, and '{game.id}' has another")
    start = Walk(game, play.state.at, play.state.opened)
    walk = _shortest(_walks(game.aim, play.state, start))
    if walk is None:
        return None
    ahead, commands = play.copy(), []
    for deed in walk.deeds:
        ahead.do(deed)
        commands.append(game.command(deed))
        if ahead.won:
            break
    return commands if ahead.won else None


def distance(play: Play) -> int | None:
    """How many steps the plan has; None where there is none."""
    commands = plan(play)
    return None if commands is None else len(commands)


class Walk:
    """Deeds in a row, and what they change that the next ones ask for."""

    __slots__ = ("at", "deeds", "game", "opened")

    def __init__(self, game: Game, at: int, opened: int, deeds: tuple[Deed, ...] = ()) -> None:
        self.game, self.at, self.opened, self.deeds = game, at, opened, deeds

    def fork(self) -> Walk:
        return Walk(self.game, self.at, self.opened, self.deeds)

    def go(self, receptacle: int) -> None:
        home = self.game.facts.home[receptacle]
        if self.at != home:
            self.deeds += (Deed("go", receptacle),)
            self.at = home

    def reach(self, receptacle: int) -> None:
        """Go there and have it open."""
        self.go(receptacle)
        if self._closed(receptacle):
            self.deeds += (Deed("open", receptacle),)
            self.opened |= 1 << receptacle

    def do(self, verb: str, what: int, where: int) -> None:
        self.deeds += (Deed(verb, what, where),)

    def cost(self, receptacle: int) -> int:
        """Deeds that `reach` takes."""
        return (self.at != self.game.facts.home[receptacle]) + self._closed(receptacle)

    def _closed(self, receptacle: int) -> bool:
        return bool((self.game.facts.openable & ~self.opened) >> receptacle & 1)


def _shortest(walks: Iterable[Walk]) -> Walk | None:
    return min(walks, key=lambda walk: len(walk.deeds), default=None)


def _walks(aim: Aim, state: State, start: Walk) -> Iterator[Walk]:
    """Walks that win."""
    serving = state.held & aim.things
    if serving:
        found = list(_from_hand(aim, state, start, next(members(serving))))
        if found:
            yield from found
            return
    if state.held:
        for walk, left in _left(aim, state, start):
            yield from _from_empty_hand(aim, left, walk)
    else:
        yield from _from_empty_hand(aim, state, start)


def _from_hand(aim: Aim, state: State, start: Walk, one: int) -> Iterator[Walk]:
    if aim.lamps:
        yield from _lit(aim, state, start)
    elif aim.count == 1:
        yield from _brought(aim, state, start, one)
    else:
        yield from _gathered(aim, state, start, one)


def _from_empty_hand(aim: Aim, state: State, start: Walk) -> Iterator[Walk]:
    if aim.count > 1:
        yield from _gathered(aim, state, start, None)
        return
    for one in members(aim.things & start.game.facts.portable):
        for walk in _taken(state, start, one):
            if aim.lamps:
                yield from _lit(aim, state, walk)
            else:
                yield from _brought(aim, state, walk, one)


def _sources(game: Game, state: State, one: int) -> list[int]:
    """Receptacles that can be reached and hold the object."""
    home = game.facts.home
    return [at for at, contents in enumerate(state.contents) if contents >> one & 1 and home[at] >= 0]


def _taken(state: State, start: Walk, one: int) -> Iterator[Walk]:
    for source in _sources(start.game, state, one):
        walk = start.fork()
        walk.reach(source)
        walk.do("take", one, source)
        yield walk


def _lit(aim: Aim, state: State, start: Walk) -> Iterator[Walk]:
    """With the object in hand: to a lamp, and on with it."""
    for lamp in members(aim.lamps):
        for place in _sources(start.game, state, lamp):
            walk = start.fork()
            walk.go(place)
            if not state.toggled >> lamp & 1:
                walk.do("use", lamp, place)
            yield walk


def _brought(aim: Aim, state: State, start: Walk, one: int) -> Iterator[Walk]:
    """With the object in hand: treated where it has to be, then put where it belongs."""
    facts = start.game.facts
    targets = [at for at in members(aim.receptacles) if facts.fits[at] >> one & 1 and facts.home[at] >= 0]
    if not targets:
        return
    walks = [start]
    treated, stations = {
        "clean": (state.clean, facts.sinks),
        "heat": (state.hot, facts.microwaves),
        "cool": (state.cool, facts.fridges),
        None: (~0, 0),
    }[aim.treatment]
    if aim.treatment is not None and not treated >> one & 1:
        walks = []
        for station in members(stations):
            if facts.home[station] >= 0:
                walk = start.fork()
                walk.go(station)
                walk.do(aim.treatment, one, station)
                walks.append(walk)
    for walk in walks:
        _put(walk, one, min(targets, key=walk.cost))
        yield walk


def _put(walk: Walk, one: int, target: int) -> None:
    walk.reach(target)
    walk.do("put", one, target)


def _gathered(aim: Aim, state: State, start: Walk, held: int | None) -> Iterator[Walk]:
    """As many objects as are wanted brought into one receptacle, from the hand first."""
    game, facts = start.game, start.game.facts
    loose = [one for one in members(aim.things & facts.portable) if one != held]
    sources = {one: tuple(_sources(game, state, one)) for one in loose}
    near = {start.at, *(facts.home[source] for found in sources.values() for source in found)}
    best = 1 << 30
    for target in _different(start, members(aim.receptacles), near, lambda at: state.contents[at] & aim.things):
        fits = facts.fits[target]
        missing = aim.count - (state.contents[target] & aim.things).bit_count()
        walk = start.fork()
        if held is not None:
            if not fits >> held & 1:
                continue
            _put(walk, held, target)
            missing -= not state.contents[target] >> held & 1
        wanted, alike = list[int](), Counter[tuple[int, ...]]()
        for one in loose:
            # Of objects that lie in the same place no more are needed than are missing.
            if fits >> one & 1 and not state.contents[target] >> one & 1 and alike[sources[one]] < missing:
                alike[sources[one]] += 1
                wanted.append(one)
        walks = [(walk, frozenset[int]())]
        for left in range(missing, 0, -1):
            further = []
            for walk, used in walks:
                # Each object left takes two deeds at least, a take and a put.
                if len(walk.deeds) + 2 * left >= best:
                    continue
                for one in wanted:
                    if one not in used:
                        for longer in _taken(state, walk, one):
                            _put(longer, one, target)
                            further.append((longer, used | {one}))
            walks = further
        for walk, _ in walks:
            best = min(best, len(walk.deeds))
            yield walk


def _left(aim: Aim, state: State, start: Walk) -> Iterator[tuple[Walk, State]]:
    """Ways of leaving what is in the hand, and the state after."""
    game, facts = start.game, start.game.facts
    junk = next(members(state.held))
    places = (at for at, fits in enumerate(facts.fits) if fits >> junk & 1)
    near = {start.at, *(facts.home[at] for one in members(aim.things) for at in _sources(game, state, one))}
    for place in _different(start, places, near, lambda at: 0):
        walk = start.fork()
        _put(walk, junk, place)
        contents = replaced(state.contents, place, state.contents[place] | 1 << junk)
        yield walk, state._replace(at=walk.at, opened=walk.opened, held=0, contents=contents)


def _different(start: Walk, places: Iterable[int], near: set[int], sort: Callable[[int], int]) -> Iterator[int]:
    """Of receptacles that serve alike the first: those that are as far, as open and of the same sort."""
    seen = set()
    home = start.game.facts.home
    for place in places:
        if home[place] < 0:
            continue
        kind: object = place if home[place] in near else (start.cost(place), sort(place))
        if kind not in seen:
            seen.add(kind)
            yield place

"""Whether a goal holds: any formula of and, or, not, imply, exists and forall over the domain's facts.

A formula becomes nested functions once. Under `exists` each part is asked as soon as its variables are chosen, and what
never changes narrows the choice beforehand, so that a check takes microseconds whatever the goal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from math import prod

from envserver.envs._alfworld.facts import Facts
from envserver.envs._alfworld.problem import PREDICATES, TYPES, Goal, Problem
from envserver.envs._alfworld.row import GameUnreadable
from envserver.envs._alfworld.state import State

__all__ = ["CHANGING", "Formula"]

Choice = dict[str, str]
"""Variables' values; a constant is its own."""
Check = Callable[[State, Choice], bool]

MARKS = {
    "isclean": "clean",
    "iscool": "cool",
    "ishot": "hot",
    "ison": "on",
    "issliced": "sliced",
    "istoggled": "toggled",
}
"""Facts about one object that a field of the state holds."""
CHANGING = frozenset((*MARKS, "atlocation", "holds", "holdsany", "inreceptacle", "objectatlocation", "opened"))
"""Predicates that actions change; `checked` changes too, but no text, command or goal of ALFWorld asks for it."""
MOST = 2_000_000
"""Choices of variables that a check may have to look through."""


def never(state: State, choice: Choice) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Formula:
    """A goal that can be asked of a state."""

    touches: frozenset[str]
    """The predicates whose change can change the answer."""
    _check: Check
    _constants: Choice

    @classmethod
    def of(cls, goal: Goal, problem: Problem, facts: Facts) -> Formula:
        """Raises GameUnreadable for what is no formula of the domain, and for one that can never hold."""
        making = _Making(problem, facts)
        check = making.formula(goal, frozenset(), 1)
        if check is never:
            raise GameUnreadable(f"the goal cannot be reached: {making.why}")
        constants = {word: word for word in _words(goal) if not word.startswith("?")}
        return cls(frozenset(_predicates(goal)) & CHANGING, check, constants)

    def __call__(self, state: State) -> bool:
        return self._check(state, dict(self._constants))


class _Making:
    """Makes the functions; what they do not need is let go with it."""

    def __init__(self, problem: Problem, facts: Facts) -> None:
        self._problem = problem
        self._objects = {one: 1 << at for at, one in enumerate(facts.objects)}
        self._receptacles = {one: at for at, one in enumerate(facts.receptacles)}
        self._locations = {one: at for at, one in enumerate(facts.locations)}
        self._static = {name: frozenset(many) for name, many in problem.facts.items() if name not in CHANGING}
        self._agent = problem.facts["atlocation"][0][0]
        self.why = "it is false whatever is done"
        """Why it never holds, where it does not."""

    def formula(self, goal: Goal, bound: frozenset[str], choices: int) -> Check:
        op = goal[0] if goal else "and"
        parts = [part for part in goal[1:] if not isinstance(part, str)]
        if op in ("and", "or", "not", "imply") and len(parts) != len(goal[1:]):
            raise GameUnreadable(f"the goal's '{op}' is not made of formulas")
        if op == "and":
            return _all([self.formula(part, bound, choices) for part in parts])
        if op == "or":
            return _any([self.formula(part, bound, choices) for part in parts])
        if op == "not" and len(parts) == 1:
            inner = self.formula(parts[0], bound, choices)
            return lambda state, choice: not inner(state, choice)
        if op == "imply" and len(parts) == 2:
            given, then = (self.formula(part, bound, choices) for part in parts)
            return lambda state, choice: not given(state, choice) or then(state, choice)
        if op == "exists":
            return self._exists(goal, bound, choices)
        if op == "forall":
            variables, body = _quantified(goal)
            ranges = [self._range(kind) for _, kind in variables]
            choices = _within(choices * prod(map(len, ranges)))
            inner = self.formula(body, bound | {name for name, _ in variables}, choices)
            names = [name for name, _ in variables]
            return lambda state, choice: all(
                inner(state, {**choice, **dict(zip(names, values, strict=True))}) for values in product(*ranges)
            )
        return self._atom(goal, bound)

    def _exists(self, goal: Goal, bound: frozenset[str], choices: int) -> Check:
        variables, parts = _flat(goal, bound)
        ranges: dict[str, tuple[str, ...]] = {}
        for name, kind in variables:
            ranges[name] = self._range(kind)
            for part in parts:
                if _free(part) == {name} and part[0] in PREDICATES and part[0] not in CHANGING:
                    holds = self._atom(part, frozenset((name,)))
                    constants = {word: word for word in part[1:] if isinstance(word, str)}
                    ranges[name] = tuple(one for one in ranges[name] if holds(_ANY_STATE, {**constants, name: one}))
                    if not ranges[name]:
                        self.why = f"nothing is ({' '.join(map(str, part))}) in the game"
                        return never
            if not ranges[name]:
                self.why = f"the game has nothing of the type '{kind}'"
                return never
        choices = _within(choices * prod(map(len, ranges.values())))
        order = sorted(ranges, key=lambda name: len(ranges[name]))
        known, waiting, levels = set(bound), list(parts), list[tuple[str, tuple[str, ...], list[Check]]]()
        for name in order:
            known.add(name)
            ready = [part for part in waiting if _free(part) <= known]
            waiting = [part for part in waiting if part not in ready]
            checks = [self.formula(part, frozenset(known), choices) for part in ready]
            levels.append((name, ranges[name], checks))
        inner: Check = _all([self.formula(part, frozenset(known), choices) for part in waiting])
        for name, values, checks in reversed(levels):
            inner = _some(name, values, _all([*checks, inner]))
        if bound & set(order) and inner is not never:
            hidden = inner
            return lambda state, choice: hidden(state, dict(choice))
        return inner

    def _range(self, kind: str) -> tuple[str, ...]:
        if kind not in TYPES:
            raise GameUnreadable(f"the goal speaks of the unknown type '{kind[:60]}'")
        # The planner's types all descend from `object`, which is one of the domain's own names too.
        return tuple(one for one, own in self._problem.types.items() if own == kind or kind == "object")

    def _atom(self, atom: Goal, bound: frozenset[str]) -> Check:
        name, words = atom[0], [word for word in atom[1:] if isinstance(word, str)]
        shown = " ".join(map(str, atom))[:80]
        if not isinstance(name, str) or len(words) != len(atom[1:]):
            raise GameUnreadable(f"the goal's '{shown}' is not a fact")
        if PREDICATES.get(name, 2 if name == "=" else None) != len(words) or name == "checked":
            raise GameUnreadable(f"the goal asks for '({shown})', which no game can be asked")
        for word in words:
            if word not in bound and word not in self._problem.types:
                raise GameUnreadable(
                    f"the goal's '({shown})' names '{word[:60]}', which is neither chosen nor declared"
                )
        first, second = words[0], words[-1]
        if name == "=":
            return lambda state, choice: choice[first] == choice[second]
        if name not in CHANGING:
            facts = self._static.get(name, frozenset())
            if len(words) == 1:
                return lambda state, choice: (choice[first],) in facts
            return lambda state, choice: (choice[first], choice[second]) in facts
        objects, receptacles, locations, agent = self._objects, self._receptacles, self._locations, self._agent
        if name in MARKS:
            field = State._fields.index(MARKS[name])
            return lambda state, choice: bool(state[field] & objects.get(choice[first], 0))  # type: ignore[operator]
        if name == "inreceptacle":
            return lambda state, choice: (
                (at := receptacles.get(choice[second])) is not None
                and bool(state.contents[at] & objects.get(choice[first], 0))
            )
        if name == "objectatlocation":
            return lambda state, choice: (
                (at := locations.get(choice[second])) is not None
                and bool(state.near[at] & objects.get(choice[first], 0))
            )
        if name == "opened":
            return lambda state, choice: (
                (at := receptacles.get(choice[first])) is not None and bool(state.opened >> at & 1)
            )
        if name == "holds":
            return lambda state, choice: choice[first] == agent and bool(state.held & objects.get(choice[second], 0))
        if name == "holdsany":
            return lambda state, choice: choice[first] == agent and state.busy
        return lambda state, choice: choice[first] == agent and locations.get(choice[second]) == state.at


_ANY_STATE = State(0, 0, 0, False, (), (), (), 0, 0, 0, 0, 0, 0)


def _all(checks: list[Check]) -> Check:
    if never in checks:
        return never
    if len(checks) == 1:
        return checks[0]
    if len(checks) == 2:
        one, two = checks
        return lambda state, choice: one(state, choice) and two(state, choice)
    return lambda state, choice: all(check(state, choice) for check in checks)


def _any(checks: list[Check]) -> Check:
    checks = [check for check in checks if check is not never]
    if not checks:
        return never
    return lambda state, choice: any(check(state, choice) for check in checks)


def _some(name: str, values: tuple[str, ...], inner: Check) -> Check:
    if inner is never:
        return never

    def check(state: State, choice: Choice) -> bool:
        for value in values:
            choice[name] = value
            if inner(state, choice):
                return True
        return False

    return check


def _within(choices: int) -> int:
    if choices > MOST:
        raise GameUnreadable("the goal chooses among too many things to be checked at every step")
    return choices


def _quantified(goal: Goal) -> tuple[list[tuple[str, str]], Goal]:
    """A quantifier's typed variables and its body."""
    if len(goal) != 3 or isinstance(goal[1], str) or isinstance(goal[2], str):
        raise GameUnreadable(f"the goal's '{goal[0]}' is not made of variables and one formula")
    variables: list[tuple[str, str]] = []
    names: list[str] = []
    words = iter(goal[1])
    for word in words:
        if word == "-":
            variables += [(name, str(kind)) for kind in [next(words, "")] for name in names]
            names = []
        elif isinstance(word, str) and word.startswith("?"):
            names.append(word)
        else:
            raise GameUnreadable(f"the goal's '{goal[0]}' chooses '{word!s:.60}', which is no variable")
    return variables + [(name, "object") for name in names], goal[2]


def _flat(goal: Goal, bound: frozenset[str]) -> tuple[list[tuple[str, str]], list[Goal]]:
    """Variables and parts of an `exists` with those inside it, as far as no name is used twice."""
    variables, body = _quantified(goal)
    parts: list[Goal] = []

    def take(part: Goal) -> None:
        if part and part[0] == "and":
            for one in part[1:]:
                if isinstance(one, str):
                    raise GameUnreadable("the goal's 'and' is not made of formulas")
                take(one)
            return
        if part and part[0] == "exists":
            more, inner = _quantified(part)
            if not {name for name, _ in more} & ({name for name, _ in variables} | bound):
                variables.extend(more)
                take(inner)
                return
        parts.append(part)

    take(body)
    return variables, parts


def _words(goal: Goal) -> Iterator[str]:
    for part in goal[1:]:
        if isinstance(part, str):
            yield part
        else:
            yield from _words(part)


def _free(goal: Goal) -> set[str]:
    """Variables of a formula that it does not choose itself."""
    if goal and goal[0] in ("exists", "forall"):
        variables, body = _quantified(goal)
        return _free(body) - {name for name, _ in variables}
    free: set[str] = set()
    for part in goal[1:]:
        free |= {part} if isinstance(part, str) and part.startswith("?") else set()
        free |= _free(part) if not isinstance(part, str) else set()
    return free


def _predicates(goal: Goal) -> Iterator[str]:
    if goal and isinstance(goal[0], str):
        yield goal[0]
    for part in goal:
        if not isinstance(part, str):
            yield from _predicates(part)

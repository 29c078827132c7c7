"""What makes the package's own engine usable: the same work is done once. Its output stays the same, byte for byte.

The package translates a problem four times before the first step, parses the same text templates at every step and
loads a library for every environment. Here a translation, a parsed template and a parsed query are remembered, a
library is used again, and the planner's translation is made only when a planner is asked. The package works with
globals, so these are put into its modules: once, for the process.
"""

from __future__ import annotations

import copy
import sys
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import fast_downward
import textworld.logic
from textworld.envs.pddl import logic, textgen

__all__ = ["give_back", "install"]

MAX_TRANSLATIONS = 64
"""Problems whose translation is kept, about 1.5 MB each."""


@dataclass(frozen=True, slots=True)
class Task:
    """What the package reads of a translated task."""

    actions: Any
    types: Any
    objects: Any
    init: Any


class Translations:
    """`pddl2sas` that translates a problem once, and leaves sys.argv and sys.stdout as they were."""

    def __init__(self, original: Callable[..., tuple[Any, str]]) -> None:
        self.original = original
        self.kept: OrderedDict[tuple[str, str, bool], tuple[Task, str]] = OrderedDict()

    def __call__(self, domain: str, problem: str, verbose: bool = False, optimize: bool = False) -> tuple[Task, str]:
        key = (domain, problem, optimize)
        if key in self.kept:
            self.kept.move_to_end(key)
            return self.kept[key]
        argv, stdout = sys.argv, sys.stdout
        try:
            task, sas = self.original(domain, problem, verbose, optimize)
        finally:
            sys.argv, sys.stdout = argv, stdout
        self.kept[key] = (Task(task.actions, task.types, task.objects, task.init), sas)
        if len(self.kept) > MAX_TRANSLATIONS:
            self.kept.popitem(last=False)
        return self.kept[key]


class PddlState(logic.PddlState):  # type: ignore[misc]
    """The package's state, which translates for the planner only when it is asked for a plan."""

    def __init__(self, downward_lib: Any, pddl_problem: str, game_logic: Any) -> None:
        super().__init__(_NoPlanner(downward_lib), pddl_problem, game_logic)
        self.downward_lib = downward_lib
        self._planner_ready = False

    def replan(self, infos: Any) -> Any:
        if not self._planner_ready:
            _, sas = _translations()(self._logic.domain, self.pddl_problem, False, True)
            self.downward_lib.load_sas_replan(sas.encode())
            self._planner_ready = True
        return super().replan(infos)


class _NoPlanner:
    """The library without the planner's translation, while a state is made."""

    def __init__(self, library: Any) -> None:
        self._library = library

    def load_sas_replan(self, sas: bytes) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        return getattr(self._library, name)


@cache
def _translations() -> Translations:
    return Translations(fast_downward.pddl2sas)


@cache
def _parsed_logic(grammar: str) -> Any:
    return logic._parse_and_convert(grammar, rule_name="pddlStart")


class GameLogic(logic.GameLogic):  # type: ignore[misc]
    """The package's logic, its grammar parsed once for the process."""

    def __init__(self, domain: str, grammar: str) -> None:
        actions, rules = _parsed_logic(grammar)
        self.domain = domain
        self.actions = dict(actions)
        self.types = textworld.logic.TypeHierarchy()
        self.grammar = textgen.ContextSensitiveGrammar()
        self.grammar.update(rules)


def _context(context: dict[str, Any]) -> dict[str, Any]:
    """Names and facts are never changed in place, so the copy shares them."""
    return {**context, "variables": dict(context["variables"]), "mapping": dict(context["mapping"])}


def _clone(symbol: Any) -> Any:
    twin = copy.copy(symbol)
    twin.context = {}
    for name in ("symbol", "expression"):
        if isinstance(getattr(twin, name, None), textgen.Symbol):
            setattr(twin, name, _clone(getattr(twin, name)))
    return twin


def _copied(symbol: Any, context: dict[str, Any]) -> Any:
    twin = _clone(symbol)
    twin.context = _context(context)
    return twin


def _replace(grammar: Any, start: Any) -> list[Any]:
    rules = grammar._rules.get(str(start))
    if not rules:
        raise textgen.CSGUnknownSymbolError(start)
    state, mapping = start.context["state"], start.context["mapping"]
    for rule in rules:
        if not rule.condition:
            break
        query = textgen.Rule.parse_conjunctive_query(rule.condition)
        if next(iter(state.all_assignments(query, mapping)), None) is not None:
            break
    return [_copied(symbol, start.context) for symbol in rule.rhs]


class _Rule(textworld.logic.Rule):  # type: ignore[misc]
    """A rule whose queries are parsed once."""

    @classmethod
    @lru_cache(4096)
    def parse_conjunctive_query(cls, expr: str) -> Any:
        return textworld.logic.Rule.parse_conjunctive_query(expr)


class Libraries:
    """Loaded copies of the planner's library, each for one play at a time.

    A copy is never unloaded: it leaves a call behind that the process makes at its end.
    """

    def __init__(self, load: Callable[[], Any]) -> None:
        self.load = load
        self.idle: list[Any] = []

    def __call__(self) -> Any:
        return self.idle.pop() if self.idle else self.load()


@cache
def _libraries() -> Libraries:
    return Libraries(fast_downward.load_lib)


def give_back(library: Any) -> None:
    """A play is over; the next one may have its library."""
    library.cleanup()
    _libraries().idle.append(library)


@cache
def install() -> None:
    """Put them into the package's modules."""
    from textworld.envs.pddl import pddl

    original = textgen._parse_and_convert

    @lru_cache(65_536)
    def parse(text: str, rule_name: str) -> Any:
        return original(text, rule_name=rule_name)

    fast_downward.pddl2sas = _translations()
    fast_downward.load_lib = _libraries()
    textgen._parse_and_convert = lambda text, rule_name="symbols", **_: [_clone(one) for one in parse(text, rule_name)]
    textgen.copy_context = _context
    textgen.Symbol.copy = _copied
    textgen.ContextSensitiveGrammar.replace = _replace
    textgen.Rule = _Rule
    pddl.pddl_logic.PddlState = PddlState
    pddl.pddl_logic.GameLogic = GameLogic

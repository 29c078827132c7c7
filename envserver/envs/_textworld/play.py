"""A game in memory: played by one interpreter, remembered as a tree of what was played.

A node is the state after a list of commands. Its interpreter state is kept as the few bytes that differ from the
opening's, so a session is a reference to a node, a fork is a second reference, and a command that was once played
from a node is not played again. What the package computes from the facts alone (which actions are possible, how they
are called) is computed once for each set of facts and shared.

Texts, scores, events and commands are the package's own: the interpreter is jericho's, sent what `textworld.start`
sends, and read by the same rules; the tests compare them on random play.
"""

from __future__ import annotations

import re
import string
import warnings
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jericho
import numpy as np
from textworld.envs.wrappers.tw_inform7 import _detect_extra_infos, _detect_i7_events_debug_tags
from textworld.generator.game import Game, GameProgression
from textworld.generator.inform7 import Inform7Game
from textworld.logic import Action, Proposition, State

__all__ = ["GameFailed", "LoadedGame", "Node"]

SEED = 1
"""Of the interpreter's generator; a fixed one, so that no clock is read."""
MAX_SITUATIONS = 1024
"""Sets of facts remembered for each game, 3 to 10 kB each."""
MAX_NODES = 2048
"""States remembered for each game, about 4 kB each; beyond it the tree is forgotten and begun again."""

STATUS = re.compile(r">?\s{20,}-= [^\n]*? =-\s?-?\d+/-?\d+\s*$")
"""The status line, which the interpreter prints after the prompt where it differs from the one it printed last: nothing
may depend on it."""
END_QUESTION = re.compile(r"\s*Would you like to RESTART, .*$", re.DOTALL)


class GameFailed(Exception):
    """Raised when a game cannot be made, read or played; the sentence says why."""


@dataclass(frozen=True)
class Situation:
    """What follows from a set of facts."""

    facts: frozenset[Proposition]
    events: dict[str, Action]
    """What the game prints when an action succeeds -> the action."""
    commands: tuple[str, ...]
    """Admissible commands, sorted, each once."""
    room: str
    """Name of the player's room; empty where the facts do not say it."""


class Node:
    """The state of a game after a list of commands."""

    __slots__ = (
        "actions",
        "children",
        "command",
        "depth",
        "description",
        "inventory",
        "lost",
        "machine",
        "parent",
        "score",
        "situation",
        "text",
        "tracked",
        "won",
    )
    parent: Node | None
    command: str
    """What was played from the parent; empty at the root."""
    depth: int
    tracked: frozenset[str]
    """Texts asked for beside the feedback."""
    text: str
    """Feedback, cleaned."""
    description: str
    inventory: str
    score: int
    won: bool
    lost: bool
    actions: tuple[Action, ...]
    """Logical actions the command was."""
    situation: Situation
    machine: Any
    """Interpreter state, packed."""
    children: dict[str, Node]

    @property
    def over(self) -> bool:
        """True once the game has ended."""
        return self.won or self.lost


class LoadedGame:
    """One game, its interpreter, and the tree of what was played."""

    def __init__(self, story: Path) -> None:
        """Raises GameFailed where `story` or the .json beside it cannot be read."""
        try:
            self.game = Game.load(str(story.with_suffix(".json")))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", jericho.UnsupportedGameWarning)  # said of every generated game
                self.machine = jericho.FrotzEnv(str(story), seed=SEED)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise GameFailed(f"'{story.name}' or its .json cannot be read: {error}") from error
        self.inform7 = Inform7Game(self.game)
        self.rules = {name: place for place, name in enumerate(self.game.kb.rules)}
        self.situations: OrderedDict[frozenset[Proposition], Situation] = OrderedDict()
        self.roots: dict[frozenset[str], Node] = {}
        self.nodes = 0
        self.base: tuple[np.ndarray, np.ndarray] | None = None
        self.at: Node | None = None
        """The node the interpreter stands at."""
        self.max_score = self.game.max_score
        self.objective = " ".join(self.game.objective.split())
        self.walkthrough: list[str] = list(self.game.metadata.get("walkthrough") or [])

    def root(self, tracked: frozenset[str]) -> Node:
        """The opening; `tracked` may hold `description` and `inventory`."""
        found = self.roots.get(tracked)
        if found is None:
            found = self.roots[tracked] = self._open(tracked)
        return found

    def step(self, node: Node, command: str) -> Node:
        """The state after `command`, which is one printable line, is played at a node that is not over."""
        child = node.children.get(command)
        if child is None:
            if self.nodes >= MAX_NODES:
                self.forget()
            child = self._play(node, command)
            node.children[command] = child
            self.nodes += 1
        return child

    def forget(self) -> None:
        """Drops what was played and what followed from it; nodes that are held go on."""
        for root in self.roots.values():
            root.children = {}
        self.situations.clear()
        self.nodes = 0

    def history(self, node: Node) -> list[Node]:
        """The nodes from the root, which is left out, to `node`."""
        path = []
        at: Node | None = node
        while at is not None and at.parent is not None:
            path.append(at)
            at = at.parent
        return path[::-1]

    def _open(self, tracked: frozenset[str]) -> Node:
        raw, _ = self.machine.reset()
        node = Node()
        node.parent, node.command, node.depth, node.tracked = None, "", 0, tracked
        node.children, node.actions = {}, ()
        node.won = node.lost = False
        node.score, node.description, node.inventory = 0, "", ""
        node.text = _clean(_without_banner(raw))
        for name in ("inventory", "description", "moves", "score"):
            if name in tracked or name in ("moves", "score"):
                answer, _, _, _ = self.machine.step(f"tw-extra-infos {name}")
                self._read(node, _detect_extra_infos(answer)[0])
        self.machine.step("tw-trace-actions")
        node.situation = self._situation(frozenset(self.game.world.facts))
        if self.base is None:
            ram, stack, *_ = self.machine.get_state()
            self.base = (ram, stack)
        node.machine = self._pack()
        self.at = node
        return node

    def _play(self, node: Node, command: str) -> Node:
        if self.at is not node:
            self._unpack(node.machine)
        self.at = None
        raw, _, _, _ = self.machine.step(command)
        infos, text = _detect_extra_infos(raw)
        events, text = _detect_i7_events_debug_tags(text)
        child = Node()
        child.parent, child.command, child.depth, child.tracked = node, command, node.depth + 1, node.tracked
        child.children = {}
        child.won = "*** The End ***" in text
        child.lost = "*** You lost! ***" in text
        child.score, child.description, child.inventory = node.score, node.description, node.inventory
        self._read(child, infos)
        child.text = _clean(text)
        situation, actions = node.situation, []
        for event in events:
            action = situation.events.get(event.lower())
            if action is not None:
                actions.append(action)
                situation = self._situation((situation.facts | action.added) - action.removed)
        child.situation, child.actions = situation, tuple(actions)
        child.machine = self._pack()
        self.at = child
        return child

    def _read(self, node: Node, infos: dict[str, str | None]) -> None:
        """Takes over what the game printed between its tags; what it left out stays as it was."""
        node.description = infos.get("description") or node.description
        node.inventory = infos.get("inventory") or node.inventory
        score = infos.get("score")
        if score:
            node.score = int(score.split("\n")[0])

    def _situation(self, facts: frozenset[Proposition]) -> Situation:
        found = self.situations.get(facts)
        if found is not None:
            self.situations.move_to_end(facts)
            return found
        while len(self.situations) >= MAX_SITUATIONS:
            self.situations.popitem(last=False)
        state = State(self.game.kb.logic, facts)
        actions = sorted(
            state.all_applicable_actions(self.game.kb.rules.values(), self.game.kb.types.constants_mapping),
            key=self._rank,
        )
        events: dict[str, Action] = {}
        for action in actions:
            event = self.game.kb.inform7_events[action.name].format(**self.inform7._get_name_mapping(action)).lower()
            events.setdefault(event, action)
        commands = tuple(sorted(set(self.inform7.gen_commands_from_actions(actions))))
        found = self.situations[facts] = Situation(facts, events, commands, self._room(facts))
        return found

    def _room(self, facts: frozenset[Proposition]) -> str:
        for fact in facts:
            if fact.name == "at" and fact.arguments[0].type == "P":
                return string.capwords(self.game.infos[fact.arguments[1].name].name or "")
        return ""

    def _rank(self, action: Action) -> tuple[int, int, str]:
        """The package's order (most preconditions first, then the rules' own), whatever order facts are kept in."""
        return -len(action.preconditions), self.rules[action.name], str(action.variables)

    def _pack(self) -> tuple[Any, ...]:
        ram, stack, *rest = self.machine.get_state()
        assert self.base is not None
        return (*_difference(self.base[0], ram), *_difference(self.base[1], stack), *rest)

    def _unpack(self, packed: tuple[Any, ...]) -> None:
        assert self.base is not None
        ram, stack = self.base[0].copy(), self.base[1].copy()
        ram[np.frombuffer(packed[0], np.uint32)] = np.frombuffer(packed[1], np.uint8)
        stack[np.frombuffer(packed[2], np.uint32)] = np.frombuffer(packed[3], np.uint8)
        self.machine.set_state((ram, stack, *packed[4:]))


class Progress(GameProgression):  # type: ignore[misc]
    """The package's tracking of quests, without the list of possible actions that it does not need."""

    def update(self, action: Action) -> None:
        self.state.apply(action)
        for quest in self.quest_progressions:
            quest.update(action, self.state)


def next_command(game: LoadedGame, node: Node) -> str | None:
    """The expert's command: the walkthrough's while it is followed, the package's winning policy elsewhere.

    None where the quest cannot be finished any more.
    """
    path = game.history(node)
    if [step.command for step in path] == game.walkthrough[: len(path)] and len(path) < len(game.walkthrough):
        return game.walkthrough[len(path)]
    progress = Progress(game.game)
    for step in path:
        for action in step.actions:
            progress.update(action)
    policy = progress.winning_policy
    return game.inform7.gen_commands_from_actions(policy[:1])[0] if policy else None


def _difference(base: np.ndarray, now: np.ndarray) -> tuple[bytes, bytes]:
    """Where `now` is not `base`, and what is there."""
    where = np.flatnonzero(base != now).astype(np.uint32)
    return where.tobytes(), now[where].tobytes()


def _without_banner(raw: str) -> str:
    """The opening without its drawn letters: what begins with the first line that holds a lower-case letter."""
    lines = raw.split("\n")
    for index, line in enumerate(lines):
        if re.search(r"[a-z]", line):
            return "\n".join(lines[index:])
    return raw


def _clean(text: str) -> str:
    """The text without prompt, status line and closing question."""
    text = END_QUESTION.sub("", STATUS.sub("", text)).rstrip(" \n>")
    text = re.sub(r"[ \t]+\n|\n {9,}", "\n", text.strip())
    return re.sub(r"\n{3,}", "\n\n", text)

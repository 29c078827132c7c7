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
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from textworld.envs.wrappers.tw_inform7 import AVAILABLE_INFORM7_EXTRA_INFOS, _detect_i7_events_debug_tags
from textworld.generator.game import Game, GameProgression
from textworld.generator.inform7 import Inform7Game
from textworld.logic import Action, Proposition, State

from envserver.envs._textworld.interpreter import Interpreter, Kept

__all__ = ["GameFailed", "LoadedGame", "Node"]

MAX_SITUATIONS = 1024
"""Sets of facts remembered for each game, 3 to 10 kB each."""
MAX_NODES = 2048
"""States remembered for each game, about 4 kB each; beyond it the tree is forgotten and begun again."""

TAGS = tuple((name, f"<{name}>\n", f"</{name}>") for name in AVAILABLE_INFORM7_EXTRA_INFOS)
"""What a game was asked to print beside its answer stands between these."""
STATUS = re.compile(r">?\s{20,}-= [^\n]*? =-\s?-?\d+/-?\d+\s*$")
"""The status line, which the interpreter prints after the prompt where it differs from the one it printed last: nothing
may depend on it."""
END_QUESTION = re.compile(r"\s*Would you like to RESTART, .*$", re.DOTALL)
ENDS = re.compile(r"[ \t]+\n|\n {9,}")
GAPS = re.compile(r"\n{3,}")


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
    machine: Kept
    """The interpreter's state."""
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
            self.machine = Interpreter(story)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise GameFailed(f"'{story.name}' or its .json cannot be read: {error}") from error
        self.inform7 = Inform7Game(self.game)
        self.rules = {name: place for place, name in enumerate(self.game.kb.rules)}
        self.situations: OrderedDict[frozenset[Proposition], Situation] = OrderedDict()
        self.roots: dict[frozenset[str], Node] = {}
        self.nodes = 0
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
        raw = self.machine.begin()
        node = Node()
        node.parent, node.command, node.depth, node.tracked = None, "", 0, tracked
        node.children, node.actions = {}, ()
        node.won = node.lost = False
        node.score, node.description, node.inventory = 0, "", ""
        node.text = _clean(_without_banner(raw))
        for name in ("inventory", "description", "moves", "score"):
            if name in tracked or name in ("moves", "score"):
                self._read(node, _beside(self.machine.say(f"tw-extra-infos {name}"))[0])
        self.machine.say("tw-trace-actions")
        node.situation = self._situation(frozenset(self.game.world.facts))
        node.machine = self.machine.keep()
        self.at = node
        return node

    def _play(self, node: Node, command: str) -> Node:
        if self.at is not node:
            self.machine.go(node.machine)
        self.at = None
        infos, text = _beside(self.machine.say(command))
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
        child.machine = self.machine.keep()
        self.at = child
        return child

    def _read(self, node: Node, infos: dict[str, str]) -> None:
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


def _beside(raw: str) -> tuple[dict[str, str], str]:
    """What the game printed between its tags, and the rest; as the package's `_detect_extra_infos` reads it."""
    infos = {}
    for name, begin, end in TAGS:
        start = raw.find(begin)
        stop = raw.rfind(end, start + len(begin)) if start >= 0 else -1
        if stop >= 0:
            inside = raw[start + len(begin) : stop]
            infos[name] = (_detect_i7_events_debug_tags(inside)[1] if "[" in inside else inside).strip()
            raw = raw[:start] + raw[stop + len(end) :]
    return infos, raw


def _without_banner(raw: str) -> str:
    """The opening without its drawn letters: what begins with the first line that holds a lower-case letter."""
    lines = raw.split("\n")
    for index, line in enumerate(lines):
        if re.search(r"[a-z]", line):
            return "\n".join(lines[index:])
    return raw


def _clean(text: str) -> str:
    """The text without prompt, status line and closing question."""
    # To look for either costs more than to see that its words are not there.
    if " =-" in text:
        text = STATUS.sub("", text)
    if "Would you like to RESTART" in text:
        text = END_QUESTION.sub("", text)
    return GAPS.sub("\n\n", ENDS.sub("\n", text.rstrip(" \n>").strip()))

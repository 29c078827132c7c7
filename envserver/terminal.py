"""What `envserver` shows in a terminal, and who plays there: a person, a script, the expert."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from envserver.calls import read_line, signature, write_line
from envserver.schema import Action

if TYPE_CHECKING:
    from rich.console import Console

    from envserver.schema import StepResult
    from envserver.sync import SyncWorld

__all__ = ["console", "expert_moves", "human_moves", "print_json", "print_table", "script_moves", "watch"]


def watch(world: SyncWorld, moves: Iterator[Action]) -> bool:
    """Play moves until the episode is over or there are none left; whether the task is solved."""
    out = console()
    out.print(world.opened.instructions, markup=False, highlight=False, style="dim")
    for tool in world.opened.tools:
        out.print(signature(tool), markup=False, highlight=False, style="dim")
    reward = _shown(out, world.result)
    for action in moves:
        out.print(f"\n> {_told(world, action)}", markup=False, highlight=False, style="bold")
        reward += _shown(out, world.step(action))
        if world.over:
            break
    verdict = {True: "solved", False: "not solved", None: "not finished"}[world.result.success]
    colour = {True: "green", False: "red", None: "yellow"}[world.result.success]
    out.print(f"\n{verdict}: reward {reward:g} in {world.index} steps", style=colour, highlight=False)
    return world.result.success is True


def _shown(out: Console, result: StepResult) -> float:
    out.print(result.observation.text, markup=False, highlight=False)
    return result.reward


def _told(world: SyncWorld, action: Action) -> str:
    """An action as it is typed."""
    return action.text if action.tool is None else write_line(action, world.opened.tools)


def _meant(world: SyncWorld, text: str) -> Action:
    """The action that is typed: a call where the world has tools and the line makes one."""
    try:
        return read_line(text, world.opened.tools) if world.opened.tools else Action(text=text)
    except (ValueError, RecursionError):
        return Action(text=text)


def human_moves(world: SyncWorld) -> Iterator[Action]:
    """What a person types: a command, the number of a choice, ? for the choices, ! for the expert's hint."""
    out = console()
    out.print("a command or a choice's number; ? lists choices, ! asks the expert, Ctrl-D leaves", style="dim")
    while not world.over:
        try:
            text = out.input("[bold]> [/]").strip()
        except EOFError:
            return
        choices = world.result.observation.choices
        if text == "?":
            for number, choice in enumerate(choices, start=1):
                out.print(f"{number:3} {choice}", markup=False, highlight=False)
        elif text == "!":
            hint = world.expert()
            out.print(_told(world, hint) if hint else "the expert is silent", markup=False, style="dim")
        elif text.isdecimal() and 1 <= int(text) <= len(choices):
            yield Action(text=choices[int(text) - 1])
        elif text:
            yield _meant(world, text)


def script_moves(world: SyncWorld, lines: Iterable[str]) -> Iterator[Action]:
    yield from (_meant(world, line.rstrip("\r\n")) for line in lines if line.strip())


def expert_moves(world: SyncWorld) -> Iterator[Action]:
    while not world.over and (action := world.expert()) is not None:
        yield action


def console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, soft_wrap=not sys.stdout.isatty())


def print_table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(*head, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    console().print(table, highlight=False)


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))

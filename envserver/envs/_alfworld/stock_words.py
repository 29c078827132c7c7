"""The package's domain and text grammar in either dialect.

The package carries 0.4.2's; 0.2.2's, in the official games' own files, is the same but for four lines and `help`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from alfworld.info import ALFRED_PDDL_PATH, ALFRED_TWL2_PATH

from envserver.envs._alfworld.row import Dialect

__all__ = ["GOAL", "domain_and_grammar"]

GOAL = "UNKNOWN GOAL"
"""Stands where the goal's sentence belongs."""
OLDER = (
    ("You arrive at {r.name}. ", "You arrive at {lend.name}. "),
    ("You move the {o.name} to the {r.name}.", "You put the {o.name} in/on the {r.name}."),
    ('"move {o} to {r}"', '"put {o} in/on {r}"'),
)
"""0.4.2's words and 0.2.2's."""


@cache
def domain_and_grammar(dialect: Dialect) -> tuple[str, str]:
    """The texts that a game file of this dialect has, its goal left open."""
    domain, grammar = Path(ALFRED_PDDL_PATH).read_text(), Path(ALFRED_TWL2_PATH).read_text()
    if dialect == "0.2":
        for ours, older in OLDER:
            assert ours in grammar, f"alfworld's grammar has no {ours!r}"
            grammar = grammar.replace(ours, older)
        grammar = grammar[: grammar.index("action help {")]
        domain = domain[: domain.index("(:action help")] + ")\n"
    return domain, grammar

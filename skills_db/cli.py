"""The command `skills`: search, find, show, list, lineage, stats, add, edit, retire, export, import, sql, serve, …

Nothing heavy is imported before a command needs it. An error is one sentence on stderr: exit 2 for misuse, 1 for
failure.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import Annotated

import typer

from skills_db.command import Misuse
from skills_db.commands import carry, change, look
from skills_db.commands.lineage import lineage
from skills_db.commands.measure import bench
from skills_db.commands.ranked import search
from skills_db.commands.serve import serve

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="The memory of runs, in SQL."
)


def main(argv: list[str] | None = None) -> None:
    """Run the command line; never returns."""
    asked = sys.argv[1:] if argv is None else argv
    args = [arg for arg in asked if arg != "--debug"]
    try:
        code = app(args, prog_name="skills", standalone_mode=False)
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter's last flush complains
        sys.exit(0)
    except Exception as error:
        if len(args) < len(asked):
            traceback.print_exc()
        # A usage error of typer's; `skills` alone has printed the help and says nothing.
        says = error.format_message() if hasattr(error, "format_message") else str(error) or type(error).__name__
        if says:
            print(f"skills: {' '.join(says.split())}", file=sys.stderr)
        sys.exit(2 if isinstance(error, Misuse) or hasattr(error, "format_message") else 1)
    sys.exit(code if isinstance(code, int) else 0)


@app.callback()
def _root(debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False) -> None:
    """The memory of runs: episodes, turns, statistics, experiences and skills, in SQL."""


app.command()(search)
app.command()(look.find)
app.command()(look.show)
app.command(name="list")(look.list_)
app.command()(lineage)
app.command()(look.stats)
app.command()(change.add)
app.command()(change.edit)
app.command()(change.retire)
app.command()(change.prune)
app.command()(carry.export)
app.command(name="import")(carry.import_)
app.command()(look.sql)
app.command()(look.schema)
app.command()(carry.migrate)
app.command()(serve)
app.command()(bench)
app.command()(look.path)

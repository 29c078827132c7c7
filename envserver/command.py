"""How a command line ends: an exit code, and for what went wrong one sentence on standard error.

Exit 0 done, 1 failure, 2 misuse, 130 Ctrl-C; a traceback only with `--debug`.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    import typer

__all__ = ["run_app"]


def run_app(
    app: typer.Typer, name: str, argv: Sequence[str] | None, is_misuse: Callable[[Exception], bool]
) -> NoReturn:
    """Run the command line `name`; `is_misuse` tells what the caller can put right from what failed."""
    asked = sys.argv[1:] if argv is None else argv
    args = [arg for arg in asked if arg != "--debug"]
    try:
        code = app(args, prog_name=name, standalone_mode=False)
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter's last flush complains
        sys.exit(0)
    except Exception as error:
        if len(args) < len(asked):
            traceback.print_exc()
        # A usage error of typer's; a command alone has printed the help and says nothing.
        usage = hasattr(error, "format_message")
        says = error.format_message() if hasattr(error, "format_message") else str(error) or type(error).__name__
        if says:
            print(f"{name}: {' '.join(says.split())}", file=sys.stderr)
        sys.exit(2 if usage or is_misuse(error) else 1)
    sys.exit(code if isinstance(code, int) else 0)

"""The commands `envserver sandbox`: what this host can hold, and whether it does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from envserver.terminal import console, print_json, print_table

if TYPE_CHECKING:
    from envserver.sandboxes.base import Probe

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Where untrusted programs run.")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say what each sandbox can enforce on this host, found by trying; exit 1 if the default one cannot run."""
    from dataclasses import asdict

    from envserver.sandboxes.base import DEFAULT, backends

    probes = [_probe(name) for name in backends()]
    if as_json:
        print_json([{**asdict(probe), "enforced": dict(probe.enforced)} for probe in probes])
    else:
        rows = [(probe.backend, "yes" if probe.available else "no", probe.detail) for probe in probes]
        print_table(("sandbox", "here", "what"), rows)
        for probe in probes:
            if probe.available:
                console().print(f"\n[bold]{probe.backend}[/] enforces", highlight=False)
                print_table(("", ""), probe.enforced.items())
    raise typer.Exit(0 if any(probe.available and probe.backend == DEFAULT for probe in probes) else 1)


@app.command()
def check(
    backend: Annotated[str, typer.Argument(help="A sandbox's name.")] = "namespace",
    only: Annotated[list[str] | None, typer.Option(help="One attack; may be repeated.")] = None,
    allow_unsafe: Annotated[
        bool, typer.Option("--allow-unsafe", help="Try `process` too, which holds little.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Try attacks against a sandbox, each bounded, and print what holds; exit 1 if one gets out."""
    from dataclasses import asdict

    from envserver.sandboxes._abuses.trial import attempt_all, named, sized
    from envserver.sandboxes.base import open_sandbox

    verdicts = []
    out = console()
    options = sized(backend)
    for verdict in attempt_all(lambda: open_sandbox(backend, options, allow_unsafe=allow_unsafe), named(only or ())):
        verdicts.append(verdict)
        if not as_json:
            mark = "[green]✓[/]" if verdict.held else "[red]✗[/]"
            out.print(f"{mark} {verdict.name}: {verdict.says}", highlight=False)
            if verdict.detail:
                out.print(f"    {verdict.detail}", markup=False, style="red", highlight=False)
    held = sum(verdict.held for verdict in verdicts)
    if as_json:
        print_json([asdict(verdict) for verdict in verdicts])
    else:
        out.print(f"{held} of {len(verdicts)} held by {backend}", highlight=False)
    raise typer.Exit(0 if held == len(verdicts) else 1)


def _probe(name: str) -> Probe:
    from envserver.plugins import NoSuchPlugin
    from envserver.sandboxes.base import Probe, load_backend

    try:
        return load_backend(name).probe()
    except NoSuchPlugin as error:
        return Probe(name, False, str(error))
    except ImportError as error:
        return Probe(name, False, f"it cannot be loaded: {error}")

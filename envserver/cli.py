"""The command `envserver`: serve, list, show, tasks, play, check, bench, sandbox.

Nothing heavy is imported before a command needs it. An error is one sentence on stderr: exit 2 for misuse, 1 for
failure.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from envserver.command import run_app
from envserver.sandbox_cli import app as sandbox_app
from envserver.terminal import console, expert_moves, human_moves, print_json, print_table, script_moves, watch

if TYPE_CHECKING:
    from envserver.core import Env, EnvConfig
    from envserver.schema import EnvCard
    from envserver.sync import SyncGym

__all__ = ["app", "main"]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Worlds over HTTP.")
app.add_typer(sandbox_app, name="sandbox")

Url = Annotated[str | None, typer.Option(help="A running server; without it, what is installed here.")]
Token = Annotated[str | None, typer.Option(help="Bearer token of that server.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Option = Annotated[list[str] | None, typer.Option("--option", "-o", help="NAME=VALUE of the environment's options.")]
EnvName = Annotated[str, typer.Argument(metavar="ENV", help="An environment's name, or package.module:Class.")]

LOOK_S = 15.0
"""What a server gets to answer a look at its catalogue: a person waits."""
MAX_SEED = (1 << 63) - 1


class Misuse(Exception):
    """Raised for what the caller can put right; its text is the one sentence shown."""


def main(argv: list[str] | None = None) -> NoReturn:
    """Run the command line."""
    run_app(app, "envserver", argv, _is_misuse)


def _is_misuse(error: Exception) -> bool:
    from envserver.config import ConfigError
    from envserver.errors import BadRequest, UnknownEnv, UnknownTask
    from envserver.plugins import NoSuchPlugin
    from envserver.sandboxes.base import BadInput

    return isinstance(error, (Misuse, BadInput, ConfigError, NoSuchPlugin, BadRequest, UnknownEnv, UnknownTask))


@app.callback()
def _root(debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False) -> None:
    """Worlds over HTTP: serve them, look at them, play them, check them, measure them."""


@app.command()
def serve(
    file: Annotated[Path | None, typer.Argument(help="A TOML file of settings; flags go on top.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one.")] = None,
    env: Annotated[list[str] | None, typer.Option(help="Serve only this one; may be repeated.")] = None,
    workers: Annotated[str | None, typer.Option(help="Worker processes, default one a core; ray or ray:N.")] = None,
    expert: Annotated[bool | None, typer.Option("--expert", help="Let players ask the expert.")] = None,
    token: Annotated[str | None, typer.Option(help="Bearer token that guards everything but /health.")] = None,
    memory: Annotated[
        str | None, typer.Option(metavar="URL", help="Serve this memory, too, under /memory; see `skills serve`.")
    ] = None,
    protocol: Annotated[list[str] | None, typer.Option(help="Speak only this other wire; may be repeated.")] = None,
    ledger: Annotated[Path | None, typer.Option(help="Directory that keeps sessions over a crash.")] = None,
    lease_s: Annotated[float | None, typer.Option(help="Silence after which a session is reaped.")] = None,
    max_sessions: Annotated[int | None, typer.Option(help="Sessions at once.")] = None,
    port_file: Annotated[Path | None, typer.Option(help="Where to write the URL once the server listens.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
) -> None:
    """Serve worlds over HTTP and WebSocket until Ctrl-C."""
    from envserver.config import load_config

    config = load_config(
        file,
        host=host,
        port=port,
        envs=tuple(env) if env else None,
        workers=int(workers) if workers and workers.isdecimal() else workers,
        expert=expert,
        token=token,
        memory=memory,
        protocols=tuple(protocol) if protocol else None,
        ledger=ledger,
        lease_s=lease_s,
        max_sessions=max_sessions,
        port_file=port_file,
        log_level=log_level,
    )
    try:
        from envserver.app import serve as serve_app
    except ModuleNotFoundError as error:
        raise Misuse(f"serving needs '{error.name}': pip install 'turnhalle[server]'") from error
    serve_app(config)


@app.command(name="list")
def list_(url: Url = None, token: Token = None, as_json: Json = False) -> None:
    """List environments, and of those that are not installed what they need."""
    cards, missing = _cards(url, token)
    if as_json:
        left_out = {"config_schema", "instructions", "tools"}
        shown = [{**card.model_dump(exclude=left_out), "needs": None} for card in cards]
        print_json([*shown, *({"env": name, "needs": why} for name, why in missing.items())])
        return
    rows = [
        (card.env, card.summary, " ".join(f"{split} {count}" for split, count in card.splits.items()), card.weight)
        for card in cards
    ]
    print_table(("env", "what", "tasks", "weight"), [*rows, *((name, why, "", "") for name, why in missing.items())])


@app.command()
def show(env: EnvName, url: Url = None, token: Token = None, as_json: Json = False) -> None:
    """Show one environment: instructions, tools, options, splits."""
    card = _card(env, url, token)
    if as_json:
        print_json(card.model_dump())
        return
    out = console()
    out.print(f"[bold]{card.env}[/]  {card.summary}", highlight=False)
    out.print(card.instructions, markup=False, highlight=False)
    replay = "deterministic" if card.deterministic else "not deterministic: never restored by replay"
    out.print(f"{replay}; runs in {'the server' if card.weight == 'trivial' else 'a worker process'}", style="dim")
    print_table(("split", "tasks"), [(split, str(count)) for split, count in card.splits.items()])
    if card.tools:
        print_table(("tool", "what"), [(tool.name, tool.description) for tool in card.tools])
    options: Any = card.config_schema.get("properties", {})
    if options:
        rows = [(name, json.dumps(spec.get("default")), spec.get("description", "")) for name, spec in options.items()]
        print_table(("option", "default", "what"), rows)


@app.command()
def tasks(
    env: EnvName,
    split: Annotated[str, typer.Option(help="train, valid or test.")] = "train",
    offset: Annotated[int, typer.Option(min=0, help="Keys to skip.")] = 0,
    limit: Annotated[int, typer.Option(min=1, help="Keys to print.")] = 20,
    option: Option = None,
    url: Url = None,
    token: Token = None,
    generate: Annotated[
        bool, typer.Option("--generate", help="Make the games of these keys now (textworld), with a progress bar.")
    ] = False,
    processes: Annotated[int, typer.Option(min=1, help="Games made at a time.")] = 2,
    as_json: Json = False,
) -> None:
    """Print task keys, one a line."""
    if generate and url is not None:
        raise Misuse("--generate fills the cache of this machine; leave --url out")
    if generate and env != "textworld":
        raise Misuse(f"only textworld makes its games beforehand; '{env}' has nothing to generate")
    keys, total = _keys(env, split, offset, limit, option, url, token)
    if generate:
        _generate(keys, option, processes)
    if as_json:
        print_json({"env": env, "split": split, "total": total, "offset": offset, "keys": keys})
        return
    for key in keys:
        print(key)
    if sys.stdout.isatty() and offset + len(keys) < total:
        console(stderr=True).print(f"{len(keys)} of {total}; --offset and --limit show others", style="dim")


@app.command()
def play(
    env: EnvName,
    key: Annotated[str | None, typer.Argument(help="A task's key; default the first of --split.")] = None,
    split: Annotated[str, typer.Option(help="Split whose first task is played where no key is given.")] = "train",
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="The task's seed.")] = 0,
    option: Option = None,
    script: Annotated[Path | None, typer.Option(help="Commands, one a line; - reads them from stdin.")] = None,
    expert: Annotated[bool, typer.Option("--expert", help="Watch the expert.")] = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Play a world yourself; without --url a server is started for it."""
    from envserver.schema import Task
    from envserver.sync import SyncGym

    if script is not None and expert:
        raise Misuse("--script and --expert both want to play; use one of them")
    with ExitStack() as stack:
        lines = stack.enter_context(_script(script)) if script is not None else None
        if url is None:
            _config(_load(env), option)
        else:
            _card(env, url, token)
        if key is None:
            keys, _ = _keys(env, split, 0, 1, option, url, token)
            if not keys:
                raise Misuse(f"'{env}' lists no task in split '{split}' with these options; name one")
            key = keys[0]
        if url is None:
            from envserver.launch import launch

            log = Path(stack.enter_context(TemporaryDirectory(prefix="envserver-"))) / "log"
            served = launch([env], workers=1, expert=True, env_options={env: _options(option)}, log=log)
            url = stack.enter_context(served).url
        gym = stack.enter_context(SyncGym(url, token=token))
        name = _name(env)
        task = Task(env=name, key=key, seed=seed, options=_options(option))
        world = stack.enter_context(gym.open(task))
        moves = expert_moves(world) if expert else script_moves(world, lines) if lines else human_moves(world)
        won = watch(world, moves)
    raise typer.Exit(0 if won or not (expert or script) else 1)


@app.command()
def check(
    env: EnvName,
    option: Option = None,
    tasks_per_split: Annotated[int, typer.Option("--tasks", min=1, help="Tasks drawn from each split.")] = 2,
    steps: Annotated[int, typer.Option(min=1, help="Actions played in each.")] = 30,
    seed: Annotated[int, typer.Option(help="Draws tasks and actions.")] = 0,
    as_json: Json = False,
) -> None:
    """Check that an environment keeps the rules of an Env; exit 1 if it breaks one."""
    from dataclasses import asdict

    from envserver.check import Finding
    from envserver.check import check as check_env
    from envserver.rules import Rule

    kind = _load(env)
    out = console()

    def told(rule: Rule, findings: list[Finding]) -> None:
        out.print(f"[green]✓[/] {rule.says}" if not findings else f"[red]✗[/] {rule.says}", highlight=False)
        for finding in findings:
            out.print(f"    {finding.key + ': ' if finding.key else ''}{finding.detail}", markup=False, style="red")

    config = _config(kind, option)
    findings = check_env(
        kind, config, tasks_per_split=tasks_per_split, steps=steps, seed=seed, on_rule=None if as_json else told
    )
    if as_json:
        print_json([asdict(finding) for finding in findings])
    raise typer.Exit(1 if findings else 0)


@app.command()
def bench(
    quick: Annotated[bool, typer.Option("--quick", help="A few minutes, and rougher.")] = False,
    only: Annotated[list[str] | None, typer.Option(help="One part; may be repeated.")] = None,
    as_json: Json = False,
) -> None:
    """Measure the server beside its peers in one run; ratios, medians over alternated repeats."""
    from envserver.bench import PARTS, USUAL, Report, machine, run

    unknown = [part for part in only or () if part not in PARTS]
    if unknown:
        raise Misuse(f"no part of the bench is named '{unknown[0]}'; there are: {', '.join(PARTS)}")
    tables = run(tuple(only or USUAL), quick=quick)
    if as_json:
        print_json(Report(list(tables)).as_json())
        return
    print(f"Measured on {machine()}.")
    for table in tables:
        print(f"\n{table.as_markdown()}", flush=True)


def _name(env: str) -> str:
    from envserver.catalogue import env_name

    return env_name(env)


def _load(env: str) -> type[Env]:
    from envserver.catalogue import load_env

    try:
        return load_env(env)
    except (ImportError, TypeError) as error:
        raise Misuse(f"'{env}' cannot be loaded: {error}") from error


def _cards(url: str | None, token: str | None) -> tuple[list[EnvCard], dict[str, str]]:
    """Cards of a server or of what is installed, and why the others have none."""
    from envserver.catalogue import card, load_env, specs
    from envserver.plugins import NoSuchPlugin

    if url is not None:
        with _gym(url, token) as gym:
            return gym.envs(), {}
    cards, missing = [], {}
    for name, spec in specs(()).items():
        try:
            cards.append(card(name, load_env(spec), {}))
        except NoSuchPlugin as error:
            missing[name] = str(error)
        except Exception as error:  # One plugin that is broken hides none of the others.
            missing[name] = f"env '{name}' cannot be loaded: {type(error).__name__}: {error}"
    return cards, missing


def _card(env: str, url: str | None, token: str | None) -> EnvCard:
    from envserver.catalogue import card

    if url is not None:
        with _gym(url, token) as gym:
            return gym.card(env)
    return card(_name(env), _load(env), {})


def _keys(
    env: str, split: str, offset: int, limit: int, option: list[str] | None, url: str | None, token: str | None
) -> tuple[list[str], int]:
    """A page of task keys and the number of all of them."""
    if url is not None:
        with _gym(url, token) as gym:
            page = gym.tasks(env, split, offset=offset, limit=limit, options=_options(option))
            return list(page.keys), page.total
    kind = _load(env)
    if split not in kind.splits:
        raise Misuse(f"'{env}' has no split '{split}'; there are: {', '.join(kind.splits)}")
    keys = kind.tasks(_config(kind, option), split)
    return list(islice(keys, offset, offset + limit)), len(keys)


def _generate(keys: list[str], option: list[str] | None, processes: int) -> None:
    """Make TextWorld games where the server will look for them. Raises RuntimeError where some cannot be made."""
    from envserver.envs._textworld.pregenerate import generate_many

    config: Any = _config(_load("textworld"), option)
    if config.family == "file":
        raise Misuse("the games of the family 'file' are there already; there is nothing to generate")
    failed = generate_many(keys, config.cache_dir, processes=processes, timeout_s=config.make_timeout_s)
    if failed:
        key, reason = next(iter(failed.items()))
        raise RuntimeError(f"{len(failed)} of {len(keys)} games could not be made; {key}: {reason}")


def _gym(url: str, token: str | None) -> SyncGym:
    from envserver.sync import SyncGym

    return SyncGym(url, token=token, timeout_s=LOOK_S)


def _options(option: Iterable[str] | None) -> dict[str, Any]:
    """NAME=VALUE pairs; a value is JSON where it can be read as that, else a text."""
    options: dict[str, Any] = {}
    for pair in option or ():
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise Misuse(f"the option '{pair}' is not NAME=VALUE")
        try:
            options[name] = json.loads(value)
        except json.JSONDecodeError:
            options[name] = value
    return options


def _config(kind: type[Env], option: Iterable[str] | None) -> EnvConfig:
    from envserver.catalogue import BadOption, configured

    try:
        return configured(kind, _options(option))
    except BadOption as error:
        raise Misuse(str(error)) from None


def _script(path: Path) -> AbstractContextManager[Any]:
    if str(path) == "-":
        return nullcontext(sys.stdin)
    try:
        return path.open(encoding="utf-8")
    except OSError as error:
        raise Misuse(f"the script {path} cannot be read: {error.strerror}") from None

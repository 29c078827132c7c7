"""The command `trainer`: train, sft, serve, serve-and-learn, annotate, eval, replay, plot, runs, config, algorithms,
doctor, plan, bench, demo.

Nothing heavy is imported before a command needs it. An error is one sentence on stderr: exit 2 for misuse, 1 for
failure, 130 after Ctrl-C, which leaves a run that `--resume` continues.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
import uvloop

from envserver.command import run_app
from trainers import bench_cli, sampling_cli
from trainers.installed import needs_training

if TYPE_CHECKING:
    from trainers.config import RunConfig

__all__ = ["app", "main"]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Learning.")

File = Annotated[Path, typer.Argument(metavar="FILE", help="A run's TOML file, or the directory of a run.")]
Pairs = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings on top of the file.")]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run's directory.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing but the result.")]


def main(argv: list[str] | None = None) -> NoReturn:
    """Run the command line."""
    run_app(app, "trainer", argv, _is_misuse)


def _is_misuse(error: Exception) -> bool:
    from envserver.errors import UnknownEnv, UnknownTask
    from trainers.plugged import BadConfig

    return isinstance(error, (BadConfig, UnknownEnv, UnknownTask))


@app.callback()
def _root(debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False) -> None:
    """Learning: train a policy on worlds over HTTP, look at what it did, and measure how good it is."""


@app.command()
def train(
    file: File,
    pairs: Pairs = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the newest checkpoint, if there is one.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Train: demonstrations first where the file says so, then RL."""
    config = _config(file, pairs)
    needs_training()
    if _helps():
        return
    from trainers.display import Display
    from trainers.loop import train as loop

    _finish(config, loop(config, resume=resume, display=Display(quiet=quiet)))


@app.command()
def sft(file: File, pairs: Pairs = None, quiet: Quiet = False) -> None:
    """Learn from the expert's demonstrations alone; `trainer train FILE --resume` goes on with RL from there."""
    from trainers.plugged import BadConfig

    config = _config(file, pairs)
    if not config.sft.demonstrations:
        raise BadConfig("sft.demonstrations is 0, so there is nothing to learn from; give sft.demonstrations=50")
    needs_training()
    if _helps():
        return
    from trainers.display import Display
    from trainers.loop import train as loop

    _finish(
        config.model_copy(update={"steps": 0}),
        loop(config.model_copy(update={"steps": 0}), display=Display(quiet=quiet)),
    )


@app.command(name="serve-and-learn")
def serve_and_learn(
    file: File,
    pairs: Pairs = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.")] = 8200,
    port_file: Annotated[Path | None, typer.Option(help="Where to write the URL once the server listens.")] = None,
    quiet: Quiet = False,
) -> None:
    """Serve the policy to OpenAI clients and learn from their feedback while nobody asks; goes on where it was."""
    config = _config(file, pairs)
    needs_training()
    from importlib.util import find_spec

    if find_spec("uvicorn") is None or find_spec("fastapi") is None:
        raise RuntimeError("this needs 'uvicorn' and 'fastapi': pip install 'turnhalle[server]'")
    from trainers.display import Display
    from trainers.serving.serve_and_learn import serve_and_learn as serve

    asyncio.run(serve(config, host=host, port=port, port_file=port_file, display=Display(quiet=quiet)))
    print(f"trainer: stopped; go on with: trainer serve-and-learn {config.directory}", file=sys.stderr)


@app.command()
def annotate(
    file: File,
    pairs: Pairs = None,
    out: Annotated[Path | None, typer.Option(help="Write them here, for sft.annotator.name=written.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show the demonstrations that a run with tags of thought learns from, as its sft.annotator tells them."""
    config = _config(file, pairs)
    needs_training()
    from agents.transcript import transcript
    from trainers.annotators.written import line
    from trainers.cold_start import cold_start
    from trainers.display import Display

    found = uvloop.run(cold_start(config, display=Display(quiet=quiet)))
    lines = [line(episode, notes) for episode, notes in found]
    if out is not None:
        out.write_text("".join(f"{text}\n" for text in lines), encoding="utf-8")
        print(f"{out}: {len(found)} demonstrations")
    elif as_json:
        print(json.dumps([json.loads(text) for text in lines], indent=2))
    else:
        print("\n\n".join(transcript(episode) for episode, _ in found))


@app.command(name="eval")
def eval_(
    paths: Annotated[list[Path], typer.Argument(metavar="RUN|CHECKPOINT...", help="One, or several to compare.")],
    split: Annotated[str | None, typer.Option(help="Tasks to play; default: the run's env.eval_split.")] = None,
    tasks: Annotated[int | None, typer.Option(help="So many tasks; default: the run's eval.tasks.")] = None,
    episodes: Annotated[int | None, typer.Option(help="Episodes of a task; default: the run's eval.episodes.")] = None,
    temperature: Annotated[float | None, typer.Option(help="0 is greedy; default: the run's eval.temperature.")] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", "-o", help="NAME=VALUE over the run's env.options; may be repeated.")
    ] = None,
    context: Annotated[
        list[str] | None,
        typer.Option("--context", "-c", help="NAME=VALUE over the run's context options; may be repeated."),
    ] = None,
    turns: Annotated[
        int | None, typer.Option(min=1, help="Turns of an episode; default: the run's player.max_turns.")
    ] = None,
    keep: Annotated[
        int | None, typer.Option(min=1, help="Show the best so many turns alone (context best); default: as learned.")
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="A running server; default: the run's env.url, or one of its own.")
    ] = None,
    notes: Annotated[
        bool | None, typer.Option("--notes/--no-notes", help="Whether a library is shown; default: memory.at_eval.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Play held-out tasks: success with a 95 % interval, mean reward, turns; several policies are compared in pairs."""
    needs_training()
    from trainers.display import Display
    from trainers.evaluate import compare
    from trainers.examine import examine
    from trainers.recipe import setting

    asked = {"tasks": tasks, "episodes": episodes, "temperature": temperature}
    found = uvloop.run(
        examine(
            paths,
            split=split,
            url=url,
            options=dict(setting(pair) for pair in option or ()),
            context=dict(setting(pair) for pair in context or ()),
            turns=turns,
            keep=keep,
            display=Display(quiet=quiet),
            settings={key: value for key, value in asked.items() if value is not None},
            notes=notes,
        )
    )
    comparisons = [(label, compare(result, found[0][1])) for label, result in found[1:]]
    if as_json:
        rows = [
            {"policy": label, "split": result.split, "temperature": result.temperature, "invalid": result.invalid}
            | {name.removeprefix("eval/"): value for name, value in result.metrics().items()}
            for label, result in found
        ]
        gaps = [{"policy": label, "difference": c.difference, "low": c.low, "high": c.high} for label, c in comparisons]
        print(json.dumps({"policies": rows, "over_the_first": gaps}, indent=2))
        return
    for label, result in found:
        low, high = result.interval
        how = "greedy" if result.temperature == 0 else f"temperature {result.temperature:g}"
        print(
            f"{label}: success {result.success:.1%} [{low:.1%}, {high:.1%}] on {result.count} episodes "
            f"of {len(result.episodes)} '{result.split}' tasks, {how}; reward {result.reward:.3f}, "
            f"turns {result.turns:.1f}" + (f"; {result.invalid} invalid episodes left out" if result.invalid else "")
        )
        if result.conduct:
            print("  " + "  ".join(f"{name} {value:.1%}" for name, value in result.conduct.items()))
        if result.kernels:
            print("  " + "  ".join(f"{name} {value:.3g}" for name, value in result.kernels.items()))
        if result.compaction.get("summary/count"):
            print("  " + "  ".join(f"{name} {value:.4g}" for name, value in result.compaction.items()))
    for label, gap in comparisons:
        print(
            f"{label} over {found[0][0]}: {gap.difference:+.1%} [{gap.low:+.1%}, {gap.high:+.1%}], paired over "
            f"{gap.tasks} tasks"
        )


@app.command()
def replay(
    run: RunPath,
    episode: Annotated[str | None, typer.Option(help="Its id, or its number: 0 is the first, -1 the last.")] = None,
    tokens: Annotated[
        bool, typer.Option("--tokens", help="Each sampled id: piece, log-probability, advantage.")
    ] = False,
) -> None:
    """Print one episode of a run as it was played."""
    from trainers.replay import replay as read

    print(read(run, episode, tokens=tokens))


@app.command()
def plot(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Directories of runs.")],
    out: Annotated[Path | None, typer.Option(help="Path of the picture; its suffix is replaced.")] = None,
    metric: Annotated[
        list[str] | None, typer.Option(help="A panel for it instead of the usual four; may be repeated.")
    ] = None,
    by_seed: Annotated[
        bool, typer.Option("--by-seed", help="Runs that differ only in their seed are one curve: mean and range.")
    ] = False,
) -> None:
    """Draw reward, success, entropy and mismatch over steps, as PNG and SVG."""
    needs_training()
    from trainers.plot import PANELS, draw

    for path in draw(runs, out, shown=metric or PANELS, by_seed=by_seed):
        print(path)


@app.command()
def runs(
    directory: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where run directories stand.")] = Path("runs"),
    as_json: Json = False,
) -> None:
    """List runs: steps done, success while learning and held-out."""
    from trainers import metrics

    rows: list[dict[str, Any]] = []
    for config in sorted(directory.glob("*/config.json")):
        log = config.with_name("metrics.jsonl")
        last: dict[str, float] = {}
        for row in metrics.read(log) if log.exists() else ():
            last |= row
        told = json.loads(config.read_text())
        rows.append(
            {
                "run": str(config.parent),
                "algorithm": told["algorithm"]["name"],
                "env": told["env"]["name"],
                "step": int(last.get("step", 0)),
                "steps": told["steps"],
                "success": last.get("episode/success"),
                "held_out": last.get("eval/success"),
            }
        )
    _list(rows, as_json, f"no run in '{directory}'")


@app.command()
def config(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="A TOML file; without it, the defaults.")
    ] = None,
    pairs: Pairs = None,
    schema: Annotated[bool, typer.Option("--schema", help="Add what each setting means.")] = False,
    as_json: Json = False,
) -> None:
    """Print the resolved run: every setting with its value."""
    from trainers import recipe

    if file is not None and "=" in str(file) and not file.exists():
        file, pairs = None, [str(file), *(pairs or [])]
    defaults = {"name": "run", "env": {"name": "keydoor"}}
    resolved = recipe.resolve(defaults, pairs or []) if file is None else _config(file, pairs)
    if as_json:
        print(recipe.text(resolved))
        return
    for key, value, meaning in recipe.settings(resolved):
        print(f"{key} = {value}" + (f"\n    {meaning}" if schema else ""))


@app.command()
def algorithms(as_json: Json = False) -> None:
    """List algorithms with their papers."""
    from trainers.plugged import summaries

    rows = [{"algorithm": name, "paper": paper, "what": line} for name, line, paper in summaries("trainers.algorithms")]
    _list(rows, as_json, "no algorithm is installed")


app.command()(sampling_cli.serve)
app.command()(sampling_cli.doctor)


app.command()(bench_cli.plan)
_BARE = {"allow_extra_args": True, "ignore_unknown_options": True}
app.command(context_settings=_BARE)(bench_cli.bench)
app.command(name="bench-gpu")(bench_cli.bench_gpu)
app.command(context_settings=_BARE)(bench_cli.demo)
app.command(name="demo-memory")(bench_cli.demo_memory)


def _helps() -> bool:
    """Where torchrun started several processes, all but the first help it to learn, and this returns when they have."""
    from trainers import channel, crew

    if channel.rank():
        crew.serve()
    return channel.rank() > 0


def _config(file: Path, pairs: list[str] | None) -> RunConfig:
    """The run of a TOML file or a run's directory."""
    from trainers import recipe

    return recipe.read_run(file, pairs or [])


def _finish(config: RunConfig, work: Coroutine[Any, Any, Any]) -> None:
    """Run to the end, or to a checkpoint on Ctrl-C or SIGTERM."""

    async def attended() -> None:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        await work

    try:
        uvloop.run(attended())
    except (KeyboardInterrupt, asyncio.CancelledError):
        print(f"trainer: stopped; go on with: trainer train {config.directory} --resume", file=sys.stderr)
        raise KeyboardInterrupt from None
    print(f"{config.directory}: {config.steps} steps done; curve: {config.directory / 'curve.png'}")


def _list(rows: list[dict[str, Any]], as_json: bool, empty: str) -> None:
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    if not rows:
        print(empty)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(*rows[0], box=None)
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    Console(soft_wrap=True).print(table)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)

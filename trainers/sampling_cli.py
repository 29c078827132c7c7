"""The commands `trainer serve` and `trainer doctor`: vLLM for a run, and what this machine can do."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import uvloop

if TYPE_CHECKING:
    from trainers.config import RunConfig

__all__ = ["doctor", "serve"]

Pairs = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings on top of the file.")]


def serve(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A run's TOML file, or the directory of a run.")],
    pairs: Pairs = None,
    host: Annotated[str, typer.Option(help="Address to listen on; its routes change weights, so keep it private.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.")] = 8300,
    port_file: Annotated[Path | None, typer.Option(help="Where to write the URL once it answers.")] = None,
) -> None:
    """Start vLLM for a run and keep it up; the run uses it with engine.name=vllm engine.vllm.urls=[...]."""
    from trainers.plugged import BadConfig
    from trainers.recipe import read_run

    config = read_run(file, pairs or [])
    if config.engine.vllm.urls:
        raise BadConfig(
            f"engine.vllm.urls names servers that somebody else runs, so there is none to start; see how they are: "
            f"trainer doctor {file}"
        )
    try:
        uvloop.run(_serve(config, file, host, port, port_file))
    except asyncio.CancelledError:  # SIGTERM
        raise KeyboardInterrupt from None


async def _serve(config: RunConfig, file: Path, host: str, port: int, port_file: Path | None) -> None:
    import os

    from trainers.engines._vllm.keeper import Keeper
    from trainers.engines.choose import served_model, whole_context

    model = served_model(config)
    keeper = Keeper.of(
        config,
        model,
        log=config.directory / "vllm.log",
        context_tokens=whole_context(config, model),
        host=host,
        port=port,
        token=config.engine.vllm.token or os.environ.get("VLLM_API_KEY"),
    )
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    print(f"trainer: vLLM starts with {model}; it writes to {config.directory / 'vllm.log'}", flush=True)
    try:
        url = await keeper.start()
        print(f"trainer: it answers at {url}; train with:", flush=True)
        print(f"  trainer train {file} engine.name=vllm 'engine.vllm.urls=[\"{url}\"]'", flush=True)
        if port_file is not None:
            port_file.write_text(url + "\n", encoding="utf-8")  # noqa: ASYNC240
        raise RuntimeError(await keeper.ended())
    finally:
        await keeper.close()


def doctor(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="A run's TOML file: its servers are looked at, too.")
    ] = None,
    pairs: Pairs = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what this machine can do: devices, versions, vLLM, and which ways weights can travel."""
    from trainers.doctor import findings
    from trainers.recipe import read_run, resolve

    if file is not None and "=" in str(file) and not file.exists():
        file, pairs = None, [str(file), *(pairs or [])]
    defaults = {"name": "run", "env": {"name": "keydoor"}}
    config = resolve(defaults, pairs or []) if file is None else read_run(file, pairs or [])
    found = asyncio.run(findings(config))
    if as_json:
        print(json.dumps([one._asdict() for one in found], indent=2))
        return
    for one in found:
        print(f"{'yes' if one.works else 'no ':3}  {one.what:14}  {one.detail}")

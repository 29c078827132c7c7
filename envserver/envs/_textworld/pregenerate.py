"""Makes many games beforehand, in processes of their own, with a progress bar.

Each process is `python -m envserver.envs._textworld.pregenerate DIRECTORY TIMEOUT_S`: it reads keys from standard
input, a line each, and answers each with a line, `made` or the sentence that says why not.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from queue import SimpleQueue

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

__all__ = ["generate_many"]


def generate_many(
    keys: Iterable[str],
    cache_dir: Path | None = None,
    *,
    processes: int = 2,
    progress: bool | Callable[[int, int], None] = True,
    timeout_s: float = 300.0,
) -> dict[str, str]:
    """Makes the games of `keys` that are not in `cache_dir` (None: the default place) yet.

    `progress` draws a bar on standard error, or is called with (done, all) after each game. Returns the keys that could
    not be made, each with the sentence that says why. Raises KeyError where a key names no game that can be made.
    """
    from envserver.envs._textworld.cache import GameCache, default_root
    from envserver.envs._textworld.keys import GameKey, parse

    root = cache_dir or default_root()
    cache = GameCache(root)
    wanted = []
    for text in dict.fromkeys(keys):
        key = parse(text)
        if not isinstance(key, GameKey):
            raise KeyError(f"'{text}' is a file; only games of a family are made")
        if not cache.has(key):
            wanted.append(text)
    if not wanted:
        return {}
    idle: SimpleQueue[subprocess.Popen[str]] = SimpleQueue()
    makers = [_maker(root, timeout_s) for _ in range(min(processes, len(wanted)))]
    for maker in makers:
        idle.put(maker)

    def ask(text: str) -> str:
        maker = idle.get()
        try:
            assert maker.stdin is not None
            assert maker.stdout is not None
            maker.stdin.write(f"{text}\n")
            maker.stdin.flush()
            return maker.stdout.readline().strip() or "the process that made it died"
        except OSError as error:
            return f"the process that made it died: {error}"
        finally:
            idle.put(maker)

    failed: dict[str, str] = {}
    bar = Progress(
        TextColumn("making games"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=progress is not True,
    )
    pool = ThreadPoolExecutor(len(makers))
    try:
        with bar:
            line = bar.add_task("", total=len(wanted))
            asked = {pool.submit(ask, text): text for text in wanted}
            for done, answer in enumerate(as_completed(asked), 1):
                if answer.result() != "made":
                    failed[asked[answer]] = answer.result()
                bar.advance(line)
                if callable(progress):
                    progress(done, len(wanted))
    finally:
        for maker in makers:
            maker.kill()
            maker.wait()
        pool.shutdown(cancel_futures=True)
        for maker in makers:
            maker.stdin.close()  # type: ignore[union-attr]
            maker.stdout.close()  # type: ignore[union-attr]
    return failed


def _maker(root: Path, timeout_s: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", __name__, str(root), str(timeout_s)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def main() -> None:
    """One maker: keys in, answers out."""
    from envserver.envs._textworld.cache import GameCache
    from envserver.envs._textworld.keys import GameKey, parse
    from envserver.envs._textworld.play import GameFailed

    cache, timeout_s = GameCache(Path(sys.argv[1])), float(sys.argv[2])
    for line in sys.stdin:
        key = parse(line.strip())
        assert isinstance(key, GameKey)
        try:
            cache.story(key, timeout_s=timeout_s)
            print("made", flush=True)
        except GameFailed as error:
            print(" ".join(str(error).split()), flush=True)


if __name__ == "__main__":
    main()

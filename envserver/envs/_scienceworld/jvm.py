"""One Java virtual machine for all of a process's ScienceWorld simulators.

The package starts a JVM for every environment; here each world is a simulator object of its own in one JVM. What the
simulator keeps in statics (its counter of object ids, its simplifications, Scala's random generator) is put aside when
another world is played and put back when this one is, so worlds do not disturb each other. What else differs from load
to load is the order of hash sets of objects, so here every object has the same identity hash, and a world is the same
wherever it is loaded. The JVM ends with its process, however that ends; it listens on the loopback interface and
answers only who knows its token.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from py4j.java_gateway import GatewayParameters, JavaGateway, find_jar_path
from py4j.protocol import Py4JError, Py4JJavaError

__all__ = ["Jvm", "JvmFailed", "JvmGone", "Settings", "java_program", "running"]

T = TypeVar("T")

PR_SET_PDEATHSIG = 1
WORLD_BYTES = 4 << 20
"""Of the heap for each world: 1 to 2 MiB to keep, and what loading the next one needs for a moment."""
GONE = "ScienceWorld's Java process died and could not play the world again; open another session"
SCRAMBLE = 0x5DEECE66D
"""What java.util.Random mixes into a seed that it is given."""
OPTIONS = (
    "-XX:+UnlockExperimentalVMOptions",
    "-XX:hashCode=2",  # 1 for every object
    "-XX:+ExitOnOutOfMemoryError",  # a heap that ran out leaves worlds in a state nobody knows
    "-XX:-UsePerfData",
    "-XX:ErrorFile=/dev/null",
    "--add-opens=java.base/java.util=ALL-UNNAMED",  # the random generator's seed is private
)


class JvmFailed(RuntimeError):
    """Raised where there is no Java, or it does not start; the sentence says what to do."""


class JvmGone(ConnectionError):
    """Raised where the JVM died under its worlds."""


@dataclass(frozen=True)
class Settings:
    """What a JVM is started with."""

    java: Path | None = None
    heap_bytes: int = 512 << 20
    options: tuple[str, ...] = ("-XX:+UseSerialGC",)


def java_program(java: Path | None) -> str:
    """The `java` to run: the one that is named, `$JAVA_HOME`'s, or the path's. Raises JvmFailed."""
    home = os.environ.get("JAVA_HOME")
    asked = str(java) if java else str(Path(home, "bin", "java")) if home else "java"
    found = shutil.which(asked)
    if found is None:
        raise JvmFailed(
            f"ScienceWorld needs Java 11 or newer and '{asked}' is not there; install it "
            "(Debian: apt install default-jre-headless) or set JAVA_HOME"
        )
    return found


class Tenant(Protocol):
    """A world in a JVM: what it keeps of the statics while another is played."""

    ids: int
    seed: int
    simplifications: str


class Jvm:
    """A running JVM and the world whose statics it holds just now."""

    def __init__(self, settings: Settings) -> None:
        """Raises JvmFailed."""
        self.settings = settings
        self.owner = os.getpid()
        self.dead = False
        self._process, port, token = _start(settings)
        self._gateway = JavaGateway(gateway_parameters=GatewayParameters(port=port, auth_token=token))
        self._at: Tenant | None = None
        self.tenants = 0
        view = self._gateway.jvm
        # Before Scala looks at it: the simulator prints what it does, and nobody reads.
        view.java.lang.System.setOut(view.java.io.PrintStream(view.java.io.OutputStream.nullOutputStream()))
        if view.java.lang.System.identityHashCode(self._gateway.jvm.java.lang.Object()) != 1:
            self.end()
            raise JvmFailed(f"'{settings.java or 'java'}' does not know -XX:hashCode; install a HotSpot (OpenJDK) Java")
        # To look up a static costs a call each time.
        self._join = view.java.lang.String.join
        self._new = view.scienceworld.runtime.pythonapi.PythonInterface
        self._ids = view.util.UniqueIdentifier.count
        self._set_ids = getattr(view.util.UniqueIdentifier, "count_$eq")
        self._simplify = view.main.scala.scienceworld.runtime.SimplifierProcessor.parseSimplificationStr
        self._random = getattr(getattr(view.scala.util, "Random$"), "MODULE$").self()
        self._seed = view.java.lang.Class.forName("java.util.Random").getDeclaredField("seed")
        self._seed.setAccessible(True)

    @property
    def pid(self) -> int:
        """Of the Java process."""
        return self._process.pid

    def gone(self) -> bool:
        """Whether the process ended."""
        return self.dead or self._process.poll() is not None

    def simulator(self) -> Any:
        """A new simulator object, nothing loaded. Raises RuntimeError where the heap has no room for another."""
        most = max(1, self.settings.heap_bytes // WORLD_BYTES)
        if self.tenants >= most:
            raise RuntimeError(
                f"this worker's Java heap of {self.settings.heap_bytes >> 20} MiB has room for {most} worlds, and they "
                "are open; close some, or serve with a larger java_heap_bytes or more workers"
            )
        made = self.call(self._new)
        self.tenants += 1
        return made

    def lines(self, texts: Any) -> list[str]:
        """A Java list of single-line texts, read in one call: element by element costs a call each."""
        joined = str(self.call(self._join, "\n", texts))
        self._gateway.detach(texts)
        return joined.split("\n") if joined else []

    def call(self, asked: Callable[..., T], *arguments: Any) -> T:
        """Call into the JVM. Raises JvmGone, or RuntimeError with what the simulator raised."""
        if self.dead:
            raise JvmGone(GONE)
        try:
            return asked(*arguments)
        except (Py4JError, OSError) as error:
            if isinstance(error, Py4JJavaError) and not self.gone():
                raise RuntimeError(f"the simulator raised {error.java_exception.toString()}") from None
            self.end()
            raise JvmGone(GONE) from None

    def enter(self, tenant: Tenant, *, afresh: bool = False) -> None:
        """Make the statics those of `tenant`; `afresh` where it is about to load, which sets them itself."""
        if self._at is tenant:
            return
        if self._at is not None:
            self.save()
        self._at = tenant
        if not afresh:
            self.restore()
            self.call(self._simplify, tenant.simplifications)

    def save(self) -> None:
        """Note where the counter and the random generator stand, for who is being played."""
        assert self._at is not None
        self._at.ids = self.call(self._ids)
        self._at.seed = self.call(self._seed.get, self._random)

    def restore(self) -> None:
        """Put the counter and the random generator where they were noted."""
        assert self._at is not None
        self.call(self._set_ids, self._at.ids)
        self.call(self._random.setSeed, self._at.seed ^ SCRAMBLE)

    def leave(self, tenant: Tenant, simulator: Any) -> None:
        """Let go of a simulator object at once; Python's own collector would, some time."""
        if self._at is tenant:
            self._at = None
        self.tenants -= 1
        if not self.dead:
            self._gateway.detach(simulator)

    def end(self) -> None:
        """Kill the process."""
        self.dead = True
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._gateway.close(keep_callback_server=True)


_jvms: dict[Settings, Jvm] = {}


def running(settings: Settings) -> Jvm:
    """This process's JVM with these settings, started where there is none. Raises JvmFailed."""
    jvm = _jvms.get(settings)
    if jvm is None or jvm.gone() or jvm.owner != os.getpid():
        jvm = _jvms[settings] = Jvm(settings)
    return jvm


def _start(settings: Settings) -> tuple[subprocess.Popen[bytes], int, str]:
    """A JVM with a gateway: the process, its port and its token."""
    package = importlib.util.find_spec("scienceworld")
    if package is None or package.origin is None:
        raise JvmFailed("the package scienceworld is not installed; pip install 'turnhalle[scienceworld]'")
    home = Path(package.origin).parent
    command = [java_program(settings.java), f"-Xmx{settings.heap_bytes}", *settings.options, *OPTIONS]
    command += ["-cp", os.pathsep.join((find_jar_path(), str(home / "scienceworld.jar")))]
    command += ["py4j.GatewayServer", "--die-on-broken-pipe", "--enable-auth", "0"]
    parent, libc = os.getpid(), ctypes.CDLL(None)

    def die_with_parent() -> None:
        if sys.platform == "linux":
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=home,
        preexec_fn=die_with_parent,
    )
    assert process.stdout is not None
    said = process.stdout.readline()
    token = process.stdout.readline() if said.strip().isdigit() else b""
    if not token:
        process.kill()
        process.wait()
        raise JvmFailed(
            f"'{command[0]}' does not start with {settings.heap_bytes} bytes of heap and {list(settings.options)}; "
            "it must be Java 11 or newer, and the options ones it knows"
        )
    process.stdout.close()
    return process, int(said), token.decode().strip()

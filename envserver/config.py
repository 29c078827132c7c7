"""The server's settings: a TOML file, `ENVSERVER_*` variables on top, flags on top of those.

A misspelt key is refused with a suggestion, wherever it stands.
"""

from __future__ import annotations

import difflib
import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, SecretStr, ValidationError

__all__ = ["ConfigError", "ServerConfig", "load_config"]

PREFIX = "ENVSERVER_"

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class ConfigError(ValueError):
    """Raised when a setting is unknown or cannot be read; one sentence."""


class ServerConfig(BaseModel):
    """Everything the server can be told."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """0 takes any free port."""
    port_file: Path | None = None
    """Where to write the URL once the server listens."""
    envs: tuple[str, ...] = ()
    """Environments to serve: names, or `package.module:Class`; none means every installed one."""
    env_options: dict[str, dict[str, JsonValue]] = {}
    """Settings of each environment's Config, by environment; `Task.options` goes on top."""
    workers: Annotated[int, Field(ge=1)] | Annotated[str, Field(pattern=r"^ray(:[1-9]\d{0,4})?$")] | None = None
    """Worker processes; None means one a core. `ray` plays on a Ray cluster, an actor a core; `ray:N` on N actors."""
    expert: bool = False
    """Whether players may ask for expert actions and demonstrations."""
    token: Annotated[SecretStr, Field(min_length=1)] | None = None
    """Bearer token that guards everything but /health."""
    memory: Annotated[SecretStr, Field(min_length=1)] | None = None
    """URL of a memory to serve under /memory: the setting of the mount of this name."""
    ledger: Path | None = None
    """Directory in which sessions are written down, so that this server after a crash, or another beside it, goes on
    with them; only those of deterministic worlds."""
    protocols: tuple[str, ...] | None = None
    """What other wires to speak, each under a path of its name; None means every one that is installed."""
    mounts: dict[str, SecretStr] = {}
    """What else to serve, and what each is told: entry points of the group `envserver.mounts`."""
    max_sessions: Count = 4096
    max_steps: Count = 1000
    """Steps of one episode, after which the server cuts it."""
    session_limit_bytes: Count = 64 << 20
    """Actions and results of one episode, after which the server cuts it: it keeps them until the session closes."""
    max_batch: Annotated[int, Field(ge=1, le=4096)] = 1024
    """Requests of one batch or frame."""
    body_limit_bytes: Count = 8 << 20
    """Largest HTTP body."""
    frame_limit_bytes: Count = 16 << 20
    """Largest WebSocket frame."""
    call_timeout_s: Positive = 30.0
    """Time a world has to answer one step."""
    open_timeout_s: Positive = 120.0
    """Time a world has to open, which may include making its game."""
    lease_s: Positive = 900.0
    """Silence after which a session is reaped."""
    worker_memory_limit_bytes: Count = 2 << 30
    """Resident memory above which a worker is recycled."""
    worker_age_limit_s: Positive = 86400.0
    """Age above which a worker is recycled."""
    log_level: Literal["debug", "info", "warning", "error"] = "warning"

    def mounted(self) -> dict[str, str]:
        """Every mount's setting, by name."""
        settings = self.mounts if self.memory is None else {**self.mounts, "memory": self.memory}
        return {name: setting.get_secret_value() for name, setting in settings.items()}

    def limits(self) -> dict[str, float]:
        """The limits a client should know, by name."""
        shown = (
            "max_sessions",
            "max_steps",
            "session_limit_bytes",
            "max_batch",
            "body_limit_bytes",
            "frame_limit_bytes",
            "call_timeout_s",
            "open_timeout_s",
            "lease_s",
            "worker_memory_limit_bytes",
            "worker_age_limit_s",
        )
        return {name: float(getattr(self, name)) for name in shown}


def load_config(path: Path | None = None, environ: Mapping[str, str] | None = None, **flags: Any) -> ServerConfig:
    """Settings from a TOML file, the environment and flags, the later over the earlier; a flag that is None is not set.

    Without `path`, the file that ENVSERVER_CONFIG names is read. Raises ConfigError.
    """
    environ = os.environ if environ is None else environ
    if path is None and environ.get(PREFIX + "CONFIG"):
        path = Path(environ[PREFIX + "CONFIG"])
    settings: dict[str, Any] = _read_file(path) if path else {}
    for variable, text in environ.items():
        if variable.startswith(PREFIX) and variable != PREFIX + "CONFIG":
            name = variable.removeprefix(PREFIX).lower()
            settings[name] = _read_variable(name, text)
    settings |= {name: value for name, value in flags.items() if value is not None}
    try:
        return ServerConfig.model_validate(settings)
    except ValidationError as error:
        raise ConfigError(_sentence(error)) from None


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"the config {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"the config {path} is not TOML: {error}") from None


def _read_variable(name: str, text: str) -> Any:
    if name in ("envs", "protocols"):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if name in ("env_options", "mounts"):
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError(f"{PREFIX}{name.upper()} is not JSON: {error}") from None
    return text


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] != "extra_forbidden":
        return f"setting '{name}' cannot be {first['input']!r}: {first['msg']}"
    close = difflib.get_close_matches(name, ServerConfig.model_fields, n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"there are: {', '.join(ServerConfig.model_fields)}"
    return f"no setting is named '{name}'; {hint}"

"""A store's answer as JSON: what `--json` prints and what HTTP sends."""

from __future__ import annotations

import base64
import dataclasses
import json

__all__ = ["to_json"]


def to_json(answer: object, *, indent: int | None = None) -> str:
    """Records by their fields, bytes as base64; of what else JSON does not have, the text."""
    return json.dumps(answer, ensure_ascii=False, indent=indent, default=_plain)


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return base64.b64encode(value).decode("ascii") if isinstance(value, bytes | memoryview) else str(value)

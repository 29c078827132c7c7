"""ORS' own server with the null world: `VENV/bin/python ors_peer.py PORT REPLY_FILE`, until it is killed.

Runs where openreward is installed and nothing of ours is. REPLY_FILE holds the observation that every step shows, as
JSON. It logs nothing, as it would each call.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ["OPENREWARD_LOG_LEVEL"] = "CRITICAL"

import uvicorn
from openreward.environments import Environment, Server, TextBlock, ToolOutput, tool
from pydantic import BaseModel

SEEN = json.loads(Path(sys.argv[2]).read_text())
TEXTS = (SEEN["text"], "Accepted here:\n" + "\n".join(SEEN["choices"]))


class Act(BaseModel):
    """What is played."""

    text: str


class Null(Environment):  # type: ignore[misc]
    """Nothing happens here."""

    @classmethod
    def list_splits(cls) -> list[str]:
        return ["train"]

    @classmethod
    def list_tasks(cls, split: str) -> list[dict[str, Any]]:
        return [{"key": "null/train/0"}]

    async def get_prompt(self) -> list[TextBlock]:
        return [TextBlock(text=text) for text in TEXTS]

    @tool  # type: ignore[untyped-decorator]
    async def act(self, args: Act) -> ToolOutput:
        """Play one turn."""
        return ToolOutput(blocks=[TextBlock(text=text) for text in TEXTS], reward=0.0, finished=False)


if __name__ == "__main__":
    app = Server([Null]).app
    uvicorn.run(app, port=int(sys.argv[1]), log_level="critical", access_log=False, backlog=4096)

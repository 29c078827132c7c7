"""NeMo Gym's own server with the null world: `VENV/bin/python nemo_peer.py PORT REPLY_FILE`, until it is killed.

Runs where NeMo Gym is installed and nothing of ours is. REPLY_FILE holds the observation that every step shows, as
JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import uvicorn
from nemo_gym.base_resources_server import BaseResourcesServerConfig
from nemo_gym.server_utils import BaseServerConfig, ServerClient
from omegaconf import OmegaConf
from resources_servers.gymnasium import GymnasiumServer

SEEN = json.loads(Path(sys.argv[2]).read_text())
TEXT = SEEN["text"] + "\nAccepted here:\n" + "\n".join(SEEN["choices"])


class Null(GymnasiumServer):  # type: ignore[misc]
    """Nothing happens here."""

    async def reset(self, metadata: dict[str, Any], session_id: str | None = None) -> tuple[str, dict[str, Any]]:
        self.session_state[session_id] = 0
        return TEXT, {}

    async def step(
        self, action: Any, metadata: dict[str, Any], session_id: str | None = None
    ) -> tuple[str, float, bool, bool, dict[str, Any]]:
        self.session_state[session_id] += 1
        return TEXT, 0.0, False, False, {}


if __name__ == "__main__":
    port = int(sys.argv[1])
    head = BaseServerConfig(host="127.0.0.1", port=1)
    server = Null(
        config=BaseResourcesServerConfig(host="127.0.0.1", port=port, entrypoint="", name="null"),
        server_client=ServerClient(head_server_config=head, global_config_dict=OmegaConf.create({})),
    )
    uvicorn.run(server.setup_webserver(), port=port, log_level="critical", access_log=False, backlog=4096)

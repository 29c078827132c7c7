"""What a command imports before it has something to do."""

import json
import subprocess
import sys

import pytest

# fmt: off
HEAVY = (
    "alembic", "docker", "fastapi", "gymnasium", "httpx", "jericho", "matplotlib", "numpy", "peft", "prometheus_client",
    "psutil", "sqlalchemy", "starlette", "tensorboard", "textworld", "torch", "transformers", "uvicorn", "websockets",
)
# fmt: on
COMMANDS = {
    "envserver": ["", "serve", "list", "show", "tasks", "play", "check", "bench", "sandbox"],
    "trainers": ["", "train", "sft", "eval", "replay", "plot", "config", "algorithms"],
    "skills_db": ["", "search", "find", "show", "stats", "export", "import", "migrate", "serve", "path"],
}


@pytest.mark.parametrize("package", COMMANDS)
def test_help_imports_nothing_heavy(package):
    code = (
        f"import json, sys\nfrom {package}.cli import main\n"
        f"for command in {COMMANDS[package]!r}:\n"
        "    try:\n        main([*([command] if command else []), '--help'])\n"
        "    except SystemExit as end:\n        assert end.code in (0, None), (command, end.code)\n"
        f"print(json.dumps(sorted(set({HEAVY!r}) & set(sys.modules))), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stderr.splitlines()[-1]) == []
    for command in COMMANDS[package][1:]:
        assert command in done.stdout


def test_a_world_can_be_written_without_the_servers_extra():
    code = (
        "import sys\nimport envserver, envserver.check, envserver.envs.keydoor\n"
        f"assert not set({HEAVY!r}) & set(sys.modules), set({HEAVY!r}) & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

"""KernelBench's directory is played as it is, its sizes divided until they run on a CPU."""

from __future__ import annotations

import pytest

from envserver import Action, Task
from envserver.envs._kernel.evaluate import Plan, missing
from envserver.envs._kernel.kernelbench import bench_names, shrunk
from envserver.envs.kernel import Kernel

runs = pytest.mark.skipif(bool(missing(Plan())), reason=missing(Plan()) or "")
BENCH = """\
import torch
import torch.nn as nn

class Model(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.scale = nn.Parameter(torch.randn(features))

    def forward(self, x):
        return torch.tanh(x) * self.scale

batch_size = 65536
features, depth = 4096, 4

def get_inputs():
    return [torch.rand(batch_size, features)]

def get_init_inputs():
    return [features]
"""


def test_numbers_at_module_level_are_divided_down_to_eight() -> None:
    source = "a = 64\nb, c = 100, (16, 4)\nd = True\ne = 2.5\ndef f():\n    return 64\n"
    assert shrunk(source, 1) == source
    assert shrunk(source, 4) == "a = 16\nb, c = 25, (8, 4)\nd = True\ne = 2.5\ndef f():\n    return 64\n"


def test_a_directory_lists_its_problems_by_number(tmp_path) -> None:
    level = tmp_path / "KernelBench" / "level1"
    level.mkdir(parents=True)
    for name in ("10_B", "9_A"):
        (level / f"{name}.py").write_text(BENCH)
    assert bench_names(tmp_path) == ("kernelbench/level1/9_A", "kernelbench/level1/10_B")
    config = Kernel.Config(source="kernelbench", kernelbench_dir=tmp_path)
    assert list(Kernel.tasks(config, "test")) == ["kernelbench/level1/9_A", "kernelbench/level1/10_B"]
    assert list(Kernel.tasks(config, "train")) == []
    with pytest.raises(KeyError, match="no split"):
        Kernel.tasks(config, "tset")
    with pytest.raises(ValueError, match="holds no level1"):
        bench_names(tmp_path / "KernelBench" / "level1")
    with pytest.raises(ValueError, match="needs the server's directory"):
        Kernel.Config(source="kernelbench")


@runs
def test_a_problem_is_shrunk_until_it_runs_here_and_can_be_played(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TURNHALLE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "level1").mkdir()
    (tmp_path / "level1" / "9_Scaled_tanh.py").write_text(BENCH)
    config = Kernel.Config(
        source="kernelbench", kernelbench_dir=tmp_path, language="torch", attempts=1, trials=1, rounds=3
    )
    env = Kernel(config)
    shown = env.reset(Task(env="kernel", key="kernelbench/level1/9_Scaled_tanh")).observation.text
    # The inputs have 2^28 elements; 2^20 where both numbers are divided by 16.
    assert "batch_size = 4096" in shown
    assert "features, depth = 256, 4" in shown
    result = env.step(Action(text=f"```python\n{BENCH.replace('class Model(', 'class ModelNew(')}```"))
    assert result.info["correct"], result.observation.text
    assert len(list((tmp_path / "cache" / "kernel" / "sizes").glob("*.json"))) == 1

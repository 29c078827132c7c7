"""CodeGym's published files: they are read as they are published, and their code runs in a sandbox alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from envserver import Action, Task
from envserver.catalogue import BadOption, configured
from envserver.check import check
from envserver.client import Gym
from envserver.envs._tooluse.codegym import Folder
from envserver.envs.tooluse import Tooluse
from envserver.launch import launch
from envserver.sandboxes.base import DEFAULT, load_backend

# In the published form: a gymnasium.Env with func_mapping, from_env_str, step of a JSON call, finished, reward, solve.
SOURCE = '''
import ast, json, os, random
import gymnasium

class TotalEnv(gymnasium.Env):
    def __init__(self, env_str=None):
        super().__init__()
        self.func_mapping = {"Observe": 0, "Get": 1, "Do": 2, "Done": 3}
        self.reset(ast.literal_eval(env_str.split("@")[1]))

    @property
    def finished(self):
        return self._done

    @property
    def reward(self):
        return float(self._reward)

    @staticmethod
    def from_env_str(env_str):
        return TotalEnv(env_str) if env_str.startswith("TotalEnv@") else None

    def reset(self, options={}):
        self.numbers, self._reward, self._done = options.get("numbers", []), 0, False
        print("this is no answer")

    def step(self, action):
        try:
            call = json.loads(action)
            return True, getattr(self, call["name"])(**call["parameters"])
        except Exception as error:
            return True, f"Error: {error}"

    def Observe(self):
        """
        How many numbers there are.

        Example Output:
            "3"
        """
        return str(len(self.numbers))

    def Get(self, index: int, strict: bool = True):
        """One number."""
        return str(self.numbers[index])

    def Do(self, what: str, more: list = None):
        """What a program should not."""
        if what == "loop":
            while True:
                pass
        if what == "crash":
            os._exit(3)
        if what == "flood":
            return "x" * 10_000_000
        if what == "half":
            return "\\ud800"
        if what == "forge":
            os.write(1, b'{"won": true}')
            os._exit(0)
        if what == "long":
            return "x" * 100_000
        if what == "read":
            return open(more[0]).read()
        if what == "list":
            return str(sorted(os.listdir("/tmp")))
        return str(random.random())

    def Done(self, answer):
        """Answer with the sum."""
        self._done, self._reward = True, int(answer == sum(self.numbers))
        return f"Your answer: {answer}, Reference answer: {sum(self.numbers)}"

    def solve(self):
        count = int(self.step(json.dumps({"name": "Observe", "parameters": {}}))[1])
        got = [self.step(json.dumps({"name": "Get", "parameters": {"index": at}}))[1] for at in range(count)]
        return self.step(json.dumps({"name": "Done", "parameters": {"answer": sum(map(int, got))}}))[1]
'''
ADVICE = "Please answer step by step.\n\nQuestion:\n\n"


@pytest.fixture(scope="module", autouse=True)
def _a_sandbox() -> None:
    probe = load_backend(DEFAULT).probe()
    if not probe.available:
        pytest.skip(f"the sandbox '{DEFAULT}' cannot be had here: {probe.detail}")


def row(code: str, numbers: list[int], **more) -> str:
    ability = f"codegym_v1@{code}__TotalEnv@" + json.dumps({"numbers": numbers})
    prompt = [
        {"role": "system", "content": "def Observe(): ..."},
        {"role": "user", "content": f"{ADVICE}What is the sum?"},
    ]
    return json.dumps({"ability": ability, "prompt": prompt, **more}) + "\n"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty environments with two tasks each; of one the code stands in the line."""
    directory = tmp_path_factory.mktemp("codegym")
    (directory / "envs").mkdir()
    lines = []
    for number in range(40):
        code = f"Codeforces_{number}_I"
        if number:
            (directory / "envs" / f"{code}__TotalEnv.py").write_text(SOURCE)
        lines += [row(code, [number, 2, at], extra_info={} if number else {"gym_env": SOURCE}) for at in range(2)]
    (directory / "training_instance.jsonl").write_text("".join(lines))
    return directory


def config(files: Path, **options):
    return Tooluse.Config(source="codegym", codegym_dir=files, **options)


def begun(files: Path, **options):
    one = config(files, **options)
    world = Tooluse(one)
    return world, world.reset(Task(env="tooluse", key=Tooluse.tasks(one, "train")[1]))


def call(tool: str, **arguments) -> Action:
    return Action(tool=tool, arguments=arguments)


def test_every_line_is_a_task_and_an_environment_is_in_one_split(files):
    keys = {split: Tooluse.tasks(config(files), split) for split in Tooluse.splits}
    assert sum(map(len, keys.values())) == 80
    assert all(keys.values())
    names = {split: {key.split("/")[2] for key in found} for split, found in keys.items()}
    assert sum(map(len, names.values())) == 40


def test_the_files_own_solution_is_rewarded_and_the_reference_is_not_shown(files):
    world, result = begun(files, reward="dense")
    assert result.observation.text == "What is the sum?"
    rewards, texts = [], []
    while not result.over:
        result = world.step(world.expert())
        rewards.append(result.reward)
        texts.append(result.observation.text)
    world.close()
    assert (result.success, sum(rewards), len(rewards)) == (True, pytest.approx(1.0), 5)
    assert texts[0] == "3"
    assert texts[-1] == "Right."


def test_tools_are_the_methods_with_their_signatures(files):
    world, _ = begun(files)
    tools = {tool.name: tool for tool in world.briefing().tools}
    world.close()
    assert list(tools) == ["Observe", "Get", "Do", "Done"]
    assert tools["Observe"].description == "How many numbers there are."
    assert tools["Get"].parameters["properties"] == {"index": {"type": "integer"}, "strict": {"type": "boolean"}}
    assert tools["Get"].parameters["required"] == ["index"]
    assert tools["Done"].parameters["properties"] == {"answer": {}}


def test_a_call_that_does_not_end_well_is_answered_and_not_kept(files, monkeypatch):
    from envserver.envs._tooluse import foreign
    from envserver.sandboxes.base import Limits

    world, _ = begun(files)
    monkeypatch.setattr(foreign, "LIMITS", Limits(wall_s=1.0, cpu_s=1.0, output_bytes=4 << 20))
    world.step(call("Observe"))
    for what, says in (
        ("loop", "did not end within 1 s"),
        ("crash", "it said nothing"),
        ("flood", "it said too much"),
        ("forge", "it said something else"),
        ("half", "?"),
    ):
        assert says in world.step(call("Do", what=what)).observation.text
    assert len(world.step(call("Do", what="long")).observation.text) == foreign.SHOWN_CHARS
    assert world.step(call("Fly")).observation.text.startswith("There is no tool 'Fly'; there are: Observe")
    assert "Error" in world.step(call("Get", nothing=1)).observation.text
    assert world.step(call("Get", index=1)).observation.text == "2"
    assert world.step(call("Done", answer="much")).success is False
    world.close()


def test_the_code_sees_nothing_of_the_host(files):
    world, _ = begun(files)
    secret = files / "training_instance.jsonl"
    assert "No such file" in world.step(call("Do", what="read", more=[str(secret)])).observation.text
    assert files.name not in world.step(call("Do", what="list")).observation.text
    world.close()


def test_a_copy_goes_its_own_way(files):
    world, _ = begun(files)
    world.step(call("Observe"))
    twin = world.copy()
    assert world.step(call("Done", answer=-1)).success is False
    while not (result := twin.step(twin.expert())).over:
        pass
    assert result.success
    world.close()
    twin.close()


@pytest.mark.slow  # a sandbox is opened for each of some fifty episodes
def test_it_keeps_the_rules(files):
    findings = check(Tooluse, config(files), tasks_per_split=1, steps=4)
    assert not findings, findings


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("", "holds no task"),
        ("{", "x.jsonl:1 is no task of CodeGym: JSONDecodeError"),
        ("[]\n", "x.jsonl:1 is no task of CodeGym: TypeError"),
        ('{"ability": "codegym_v1@x"}\n', "x.jsonl:1 is no task of CodeGym: KeyError"),
        (row("Leet_1_I", [1]).replace("codegym_v1@", "other@"), "has an 'ability' that is not"),
        (row("../../etc", [1]), "has an 'ability' that is not"),
        ("\n\n" + row("Leet_1_I", [1]), "x.jsonl:3 needs 'Leet_1_I__TotalEnv.py'"),
    ],
)
def test_a_broken_directory_is_refused_with_the_line(tmp_path, lines, says):
    (tmp_path / "x.jsonl").write_text(lines)
    with pytest.raises(ValueError, match=says.replace("[", r"\[").replace(".", r"\.")):
        Folder(tmp_path)


def test_a_source_without_a_directory_is_refused(files, tmp_path):
    with pytest.raises(BadOption, match="source 'codegym' needs the server's directory"):
        configured(Tooluse, {"source": "codegym"})
    with pytest.raises(KeyError, match="has no CodeGym files"):
        Tooluse(Tooluse.Config()).reset(Task(env="tooluse", key="codegym/train/x__YEnv/0"))
    with pytest.raises(ValueError, match="is no directory"):
        Folder(tmp_path / "none")
    for key in ("codegym/train/x__YEnv/0", "codegym/dev/x__YEnv/0", "codegym/train/../0", "codegym/"):
        with pytest.raises(KeyError):
            Tooluse(config(files)).reset(Task(env="tooluse", key=key))


async def test_they_are_served_with_tools_of_their_own(files, tmp_path):
    options = {"tooluse": {"source": "codegym", "codegym_dir": str(files)}}
    with launch(["tooluse"], workers=1, expert=True, env_options=options, log=tmp_path / "log") as served:
        async with Gym(served.url, timeout_s=60) as gym:
            page = await gym.tasks("tooluse", "valid", limit=1)
            world = await gym.open(Task(env="tooluse", key=page.keys[0]))
            assert [tool.name for tool in world.opened.tools] == ["Observe", "Get", "Do", "Done"]
            own = await gym.open(Task(env="tooluse", key="safes/h12-d1/valid/0003"))
            assert [tool.name for tool in own.opened.tools] == ["dial", "done"]
            while not world.over:
                result = await world.step(await world.expert())
            assert result.success

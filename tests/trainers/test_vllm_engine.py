"""The engine `vllm` against a server that speaks vLLM's routes over real HTTP, with our own sampler behind them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import runs
import torch
from fake_vllm import Fake, served
from tiny import SIZE, corpus, tiny_model

from agents.chat import Chat
from agents.types import ContextFull, Sample
from trainers import recipe
from trainers.config import LoraConfig
from trainers.engine_config import EngineConfig
from trainers.engines._vllm.fleet import Fleet, Server
from trainers.engines._vllm.transfer import FileTransfer
from trainers.engines._vllm.wire import Refused, ServerError, Wire
from trainers.engines.vllm import Vllm
from trainers.loop import train
from trainers.models import build_model, load_model
from trainers.plugged import BadConfig


@pytest.fixture(scope="module")
def one() -> Iterator[Fake]:
    with served(tiny_model()) as fake:
        yield fake


@pytest.fixture
def fake(one: Fake) -> Fake:
    """A server as it was started."""
    one.faults, one.asked, one.most = {}, [], 0
    one.renew()
    return one


@asynccontextmanager
async def engine(*fakes: Fake, load: bool = True, **settings: Any) -> AsyncIterator[Vllm]:
    """The engine of a trainer whose model is tiny, its weights on the servers."""
    model, tokenizer = load_model(tiny_model())
    chat = Chat(tokenizer)
    config = EngineConfig.model_validate(
        {"name": "vllm", "threads": 1, "vllm": {"urls": [fake.url for fake in fakes], "start_s": 20, **settings}}
    )
    found = Vllm(model, config, stop_ids=chat.stop_ids, tokenizer=chat.tokenizer)
    try:
        if load:
            await found.load(weights(found), 0)
        yield found
    finally:
        await found.close()


def weights(engine: Vllm) -> dict[str, torch.Tensor]:
    return {name: parameter.detach() for name, parameter in engine.model.named_parameters()}


def learned(engine: Vllm, much: float = 0.05) -> dict[str, torch.Tensor]:
    """The weights after something like a step."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in engine.model.parameters():
            parameter += much * torch.randn_like(parameter)
    return weights(engine)


async def drawn(engine: Vllm, *prompt: int, tokens: int = 6, seed: int | None = None, at: float = 0.7) -> Sample:
    return await engine.sample(prompt or [7, 8, 9], max_tokens=tokens, temperature=at, seed=seed)


async def test_ids_go_out_and_come_back_with_the_log_probabilities_they_were_drawn_with(fake: Fake) -> None:
    async with engine(fake) as sampler:
        fake.asked.clear()
        sample = await drawn(sampler, 7, 8, 9, seed=3)
        (body,) = fake.asked
        ids = torch.tensor([[7, 8, 9, *sample.ids]])
        with torch.no_grad():
            logits_LV = sampler.model(input_ids=ids).logits[0]
        logp = torch.log_softmax(logits_LV / 0.7, -1)
        expected = [float(logp[2 + a, one]) for a, one in enumerate(sample.ids)]
        again = await drawn(sampler, 7, 8, 9, seed=3)
    assert body["token_ids"] == [7, 8, 9]
    asked = body["sampling_params"]
    # Whatever the server's own defaults are, these are said.
    assert (asked["top_p"], asked["top_k"], asked["min_p"], asked["repetition_penalty"]) == (1.0, 0, 0.0, 1.0)
    assert asked["stop_token_ids"] == [1]
    assert sample.logprobs == pytest.approx(expected, abs=1e-5)
    assert (sample.version, sample.temperature) == (0, 0.7)
    assert again.ids == sample.ids


async def test_a_sample_carries_the_version_it_was_drawn_from_and_parity_is_measured(fake: Fake) -> None:
    async with engine(fake) as sampler:
        first = await drawn(sampler, seed=1)
        await sampler.load(learned(sampler), 1)
        second = await drawn(sampler, seed=1)
        report = sampler.report()
        assert sampler.report() == {}
    assert (first.version, second.version) == (0, 1)
    assert fake.weights.endswith("-1"), "the second that was loaded"
    assert first.logprobs != second.logprobs
    assert 0 < report["sync/parity_max_nats"] < 1e-5
    assert report["sync/time_s"] > 0


async def test_a_version_that_is_loaded_twice_stays_where_it_can_be_given_again(fake: Fake) -> None:
    async with engine(fake) as sampler:
        await sampler.load(learned(sampler), 3)
        await sampler.load(weights(sampler), 3)  # a step in which nothing was learned
        before = await drawn(sampler, seed=2)
        fake.renew()
        after = await drawn(sampler, seed=2)
    assert (after.version, after.ids) == (3, before.ids)


async def test_answers_under_way_end_with_the_weights_they_began_with(fake: Fake) -> None:
    async with engine(fake) as sampler:
        fake.faults = {"hangs": "/inference/v1/generate", "hang_s": 0.3}
        slow = asyncio.create_task(drawn(sampler))
        while not fake.drawing:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        fake.faults = {}
        loading = asyncio.create_task(sampler.load(learned(sampler), 1))
        await asyncio.sleep(0)
        late = asyncio.create_task(drawn(sampler))
        await loading
        assert (await slow).version == 0
        assert (await late).version == 1, "who asks while weights travel is answered with the new ones"


async def test_an_answer_that_was_dropped_is_asked_for_again_and_a_turn_has_one(fake: Fake) -> None:
    async with engine(fake) as sampler:
        fake.asked.clear()
        fake.faults = {"aborts": True}
        sample = await drawn(sampler, tokens=4, seed=5)
        assert len(fake.asked) == 2
        assert sample.ids == (await drawn(sampler, tokens=4, seed=5)).ids, "one whole answer, not two joined"
        assert sampler.report()["engine/asked_again"] == 1


async def test_a_server_that_was_started_anew_behind_our_back_is_given_the_weights_again(fake: Fake) -> None:
    async with engine(fake) as sampler:
        await sampler.load(learned(sampler), 7)
        before = await drawn(sampler, seed=2)
        fake.renew()
        after = await drawn(sampler, seed=2)
        report = sampler.report()
    assert (after.version, after.ids) == (7, before.ids)
    assert report["engine/servers_lost"] == report["engine/asked_again"] == 1


async def test_a_learner_that_goes_on_does_not_change_what_a_returning_server_is_given(fake: Fake) -> None:
    async with engine(fake) as sampler:
        before = await drawn(sampler, seed=2)
        learned(sampler)  # in place, and not loaded yet
        fake.renew()
        assert (await drawn(sampler, seed=2)).ids == before.ids


async def test_a_full_queue_is_asked_again_later(fake: Fake) -> None:
    async with engine(fake) as sampler:
        fake.faults = {"full": 3}
        samples = await asyncio.gather(*(drawn(sampler, 5, one) for one in range(5)))
        assert len(samples) == 5
        assert sampler.report()["engine/full"] == 3


async def test_no_more_are_asked_at_once_than_a_server_decodes(fake: Fake) -> None:
    async with engine(fake, load=False) as sampler:
        sampler._fleet.servers[0].places = asyncio.Semaphore(2)
        await sampler.load(weights(sampler), 0)
        fake.most = 0
        await asyncio.gather(*(drawn(sampler, 5, one) for one in range(8)))
    assert fake.most == 2


@pytest.mark.parametrize(
    ("faults", "says"),
    [
        ({"keeps": ["model.embed_tokens.weight"]}, r"does not sample from the weights of version 1: .* nats"),
        ({"heat": 2.0}, r"was not started with --logprobs-mode=processed_logprobs"),
        ({"room": 64}, r"takes 64 tokens and this run needs 512: start it with --max-model-len=512"),
        ({"hangs": "/update_weights"}, r"did not answer /update_weights within 0.5 s"),
        ({"hangs": "/pause"}, r"did not answer /pause within 0.5 s"),
    ],
)
async def test_a_sync_that_did_not_arrive_stops_the_run_in_a_sentence(
    fake: Fake, faults: dict[str, Any], says: str
) -> None:
    async with engine(fake, sync_s=0.5) as sampler:
        fake.faults = faults
        started = time.monotonic()
        with pytest.raises(ServerError, match=says) as raised:
            await sampler.load(learned(sampler), 1)
        assert time.monotonic() - started < 10
        assert "\n" not in str(raised.value)
        with pytest.raises(ServerError, match=says):
            await drawn(sampler)


async def test_a_server_of_another_model_or_tokenizer_is_refused(tmp_path: Path) -> None:
    wide = build_model(tmp_path / "wide", corpus(), SIZE.model_copy(update={"hidden": 32}), seed=0)
    says = r"belong to another model.*; it serves 'policy': is that this run's"
    with served(wide) as other, pytest.raises(ServerError, match=says):
        async with engine(other):
            pass
    talks = build_model(tmp_path / "talks", ["Other words altogether, and many of them."] * 9, SIZE, seed=0)
    says = r"has another tokenizer: the same \d+ characters are \d+ tokens there"
    with served(talks) as other, pytest.raises(ServerError, match=says):
        async with engine(other):
            pass


async def test_what_is_no_vllm_server_is_said(gym_url: str) -> None:
    model, _ = load_model(tiny_model())
    config = EngineConfig.model_validate({"name": "vllm", "vllm": {"urls": [gym_url]}})
    sampler = Vllm(model, config, stop_ids=[1])
    with pytest.raises(ServerError, match=r"is no vLLM server that this run may use: .* refused /v1/models with 404"):
        await sampler.load(weights(sampler), 0)
    await sampler.close()


async def test_nobody_there_is_said_after_the_wait() -> None:
    model, _ = load_model(tiny_model())
    settings = {"urls": ["http://127.0.0.1:9"], "start_s": 0.6}
    sampler = Vllm(model, EngineConfig.model_validate({"name": "vllm", "vllm": settings}), stop_ids=[1])
    with pytest.raises(ServerError, match=r"http://127.0.0.1:9 is not there: .* did not come back within 0.6 s"):
        await sampler.load(weights(sampler), 0)
    await sampler.close()


async def test_what_no_server_is_asked_is_refused_here(fake: Fake) -> None:
    async with engine(fake, load=False) as sampler:
        with pytest.raises(RuntimeError, match="call load first"):
            await drawn(sampler)
        await sampler.load(weights(sampler), 0)
        with pytest.raises(ContextFull, match="3 prompt tokens and 600 to sample do not fit 512"):
            await drawn(sampler, tokens=600)
        with pytest.raises(ValueError, match=r"vLLM samples at temperature 0.01 where less is asked"):
            await drawn(sampler, at=0.001)
        with pytest.raises(ValueError, match="ids in"):
            await drawn(sampler, 10**6)
        with pytest.raises(ValueError, match="belong to another model"):
            await sampler.load({"model.other": torch.zeros(2)}, 1)
    with pytest.raises(RuntimeError, match="closed"):
        await drawn(sampler)


async def test_a_file_that_was_cut_is_refused_and_nothing_of_it_is_used(fake: Fake, tmp_path: Path) -> None:
    transfer = FileTransfer(tmp_path, "x")
    model, _ = load_model(tiny_model())
    await transfer.lay({name: parameter.detach() for name, parameter in model.named_parameters()}, "x-1")
    whole = transfer.path.read_bytes()
    transfer.path.write_bytes(whole[: len(whole) // 2])
    server = Server(Wire(fake.url), asyncio.Semaphore(1))
    with pytest.raises(Refused, match=r"refused /update_weights with 500: .*"):
        await transfer.send(server, 5)
    assert fake.weights == "default"
    await server.wire.close()


def test_weights_that_cannot_be_laid_down_are_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServerError, match=r"cannot be laid down in .*; set engine.vllm.directory"):
        asyncio.run(FileTransfer(tmp_path / "file", "x").lay({"a": torch.zeros(1)}, "x-1"))


async def test_an_episode_stays_where_its_beginning_was_read_and_a_new_one_goes_where_least_is_asked() -> None:
    servers = [Server(Wire(f"http://127.0.0.1:{port}"), asyncio.Semaphore(1), up=True) for port in (1, 2)]
    fleet, (one, other) = Fleet(servers), servers
    one.asked = 3
    assert fleet.pick([1, 2]) is other
    fleet.settle([1, 2], [3], one)
    fleet.settle([1, 2, 3, 4], [5], other)
    assert fleet.pick([1, 2, 3]) is one, "however much it is asked"
    assert fleet.pick([1, 2, 3, 4, 5, 6]) is other, "the longest beginning says"
    other.up = False
    assert fleet.pick([1, 2, 3, 4, 5, 6]) is one
    one.up = False
    assert fleet.pick([1]) is None
    for server in servers:
        await server.wire.close()


async def test_two_servers_share_the_sampling_and_one_goes_on_without_the_other(fake: Fake) -> None:
    with served(tiny_model()) as second:
        async with engine(fake, second) as sampler:
            fake.asked.clear(), second.asked.clear()
            await asyncio.gather(*(drawn(sampler, 5, one) for one in range(8)))
            assert len(fake.asked) == len(second.asked) == 4
            turn = await drawn(sampler, 5, 3, seed=1)
            counts = len(fake.asked), len(second.asked)
            await drawn(sampler, 5, 3, *turn.ids, 4)
            moved = len(fake.asked) - counts[0], len(second.asked) - counts[1]
            last = fake if fake.asked and fake.asked[-1]["token_ids"] == [5, 3, *turn.ids, 4] else second
            assert sorted(moved) == [0, 1]
            assert any(body["token_ids"] == [5, 3] for body in last.asked), "the prefix is cached there"
            second.renew()  # it has to be waited for
            samples = await asyncio.gather(*(drawn(sampler, 6, one) for one in range(8)))
            assert {sample.version for sample in samples} == {0}


@pytest.mark.parametrize(
    ("pair", "says"),
    [
        ("engine.vllm.top_p=0.9", "top_p changes the distribution that answers are drawn from"),
        ("engine.vllm.repetition_penalty=1.1", "player.temperature is all that may"),
        ('engine.vllm.arguments=["--quantization=fp8"]', "would change what is sampled from; leave it out"),
        ('engine.vllm.arguments=["--logprobs_mode=raw_logprobs"]', "leave it out"),
        ('engine.vllm.urls=["localhost:80"]', "is no address of a server; give one such as http://"),
        ('engine.vllm.urls=["http://a:b@c"]', "use VLLM_API_KEY"),
        ('engine.vllm.urls=["http://a","http://a/"]', "stands twice"),
        ("engine.deterministic=true", "engine.deterministic is the engine local's"),
        ("engine.vllm.tranfer=file", "did you mean 'engine.vllm.transfer'?"),
    ],
)
def test_a_config_that_would_change_the_distribution_or_cannot_be_kept_is_refused(pair: str, says: str) -> None:
    table = {"name": "x", "env": {"name": "keydoor"}, "engine": {"name": "vllm"}}
    with pytest.raises(BadConfig) as raised:
        recipe.resolve(table, [pair])
    assert says in str(raised.value)


@pytest.mark.parametrize(
    ("kind", "says"),
    [("nccl", "is between GPUs, and the model is on 'cpu'"), ("ipc", "use engine.vllm.transfer=file"), ("lora", "no")],
)
def test_a_transfer_that_cannot_work_here_is_refused(kind: str, says: str) -> None:
    model, _ = load_model(tiny_model())
    config = EngineConfig.model_validate({"name": "vllm", "vllm": {"transfer": kind, "urls": ["http://127.0.0.1:9"]}})
    with pytest.raises(ServerError, match=says):
        Vllm(model, config, stop_ids=[1])


async def test_a_run_learns_through_a_server_and_agrees_with_it_at_every_version(
    fake: Fake, gym_url: str, tmp_path: Path
) -> None:
    engine = ["engine.name=vllm", f'engine.vllm.urls=["{fake.url}"]', "steps=2"]
    run = await train(runs.config(tmp_path, gym_url, *engine))
    rows = runs.rows(run)
    assert [row["step"] for row in rows] == [0, 1, 2]
    assert all(row["sync/parity_max_nats"] < 1e-5 for row in rows[1:])
    assert all(row["policy/mismatch_max_nats"] < 1e-5 for row in rows[1:])
    with runs.memory(runs.config(tmp_path, gym_url)) as store:
        played = store.episodes(split="train", limit=None, newest=False)
        versions = [{turn.version for turn in store.episode(e.id).turns} for e in played] if played else []
    assert versions[0] == {0}
    assert versions[-1] == {1}


async def test_play_runs_ahead_of_learning_through_a_server(fake: Fake, gym_url: str, tmp_path: Path) -> None:
    engine = ["engine.name=vllm", f'engine.vllm.urls=["{fake.url}"]', "steps=4", "eval.every=0"]
    config = runs.config(tmp_path, gym_url, *engine, "sampling.staleness=2", "sampling.concurrency=6")
    run = await train(config)
    rows = runs.rows(run)[1:]
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert all(row["sync/parity_max_nats"] < 1e-5 for row in rows)
    assert max(row["async/staleness_max"] for row in rows) <= 2
    assert all(row.get("policy/mismatch_max_nats", 0.0) < 1e-5 for row in rows)
    with runs.memory(config) as store:
        for row in store.episodes(split="train", limit=None):
            assert row.step is not None
            assert all(row.step - 3 <= turn.version < row.step for turn in store.episode(row.id).turns)


async def test_an_adapter_is_loaded_by_a_route_that_answers_in_words(fake: Fake) -> None:
    model, tokenizer = load_model(tiny_model(), lora=LoraConfig(r=2))
    config = EngineConfig.model_validate({"name": "vllm", "threads": 1, "vllm": {"urls": [fake.url], "start_s": 20}})
    sampler = Vllm(model, config, stop_ids=Chat(tokenizer).stop_ids, tokenizer=tokenizer)
    try:
        for version in range(2):
            torch.manual_seed(version)
            with torch.no_grad():
                for parameter in (found := {n: p for n, p in model.named_parameters() if p.requires_grad}).values():
                    parameter += 0.05 * torch.randn_like(parameter)
            await sampler.load({name: parameter.detach() for name, parameter in found.items()}, version)
            assert sampler.report()["sync/parity_max_nats"] < 1e-5
            assert (await drawn(sampler)).version == version
            assert len(fake.adapters) == 1
    finally:
        await sampler.close()

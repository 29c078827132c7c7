"""The sampling engine: exact log-probabilities whatever is batched, kept, forked, evicted or replaced."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import torch
from tiny import corpus, tiny_model
from torch import Tensor, nn

from agents.types import ContextFull, Sample
from trainers.batch import token_logprobs
from trainers.config import LoraConfig, ScratchConfig
from trainers.engines.local import Local
from trainers.models import build_model, load_model, weights_lock

STOP = 1
EXACT_NATS = 1e-5


@pytest.fixture
def model() -> nn.Module:
    return load_model(tiny_model())[0]


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> nn.Module:
    """Wide enough that matrices of other heights are multiplied in another order."""
    return load_model(build_model(tmp_path_factory.mktemp("wide") / "model", corpus(), ScratchConfig(), seed=0))[0]


@asynccontextmanager
async def serving(model: nn.Module, **settings: object) -> AsyncIterator[Local]:
    engine = Local(model, stop_ids=[STOP], **settings)  # type: ignore[arg-type]
    try:
        yield engine
    finally:
        await engine.close()


def exact(model: nn.Module, prompt: list[int], sample: Sample) -> float:
    """Largest gap to the log-probabilities of a plain forward pass over the whole sequence, in nats."""
    ids_BL = torch.tensor([prompt + sample.ids])
    with torch.no_grad():
        logits_BLV = model(ids_BL.to(next(model.parameters()).device)).logits.cpu()
    logp_BL = token_logprobs(logits_BLV / (sample.temperature or 1.0), ids_BL)
    return float((logp_BL[0, len(prompt) :] - torch.tensor(sample.logprobs)).abs().max())


async def episode(
    engine: Local, number: int, *, turns: int = 3, opening: list[int] | None = None
) -> list[tuple[list[int], Sample]]:
    """Turns of random lengths; each prompt goes on from the exact ids of the turn before."""
    rng = random.Random(number)
    prompt = opening or [rng.randrange(5, 300) for _ in range(rng.randrange(5, 60))]
    played = []
    for turn in range(turns):
        sample = await engine.sample(
            prompt, max_tokens=rng.randrange(1, 12), temperature=rng.choice([0.7, 1.0, 1.3]), seed=100 * number + turn
        )
        played.append((prompt, sample))
        prompt = [*prompt, *sample.ids, *(rng.randrange(5, 300) for _ in range(rng.randrange(1, 30)))]
    return played


def worst(model: nn.Module, episodes: list[list[tuple[list[int], Sample]]]) -> float:
    return max(exact(model, prompt, sample) for played in episodes for prompt, sample in played)


@pytest.mark.parametrize(("rows", "prefill"), [(16, 4096), (16, 32), (3, 64), (1, 4096)])
async def test_log_probabilities_are_exact_across_turns_however_rows_are_shared_and_evicted(
    model: nn.Module, rows: int, prefill: int
) -> None:
    async with serving(model, max_sessions=rows, prefill_tokens=prefill) as engine:
        episodes = await asyncio.gather(*(episode(engine, number) for number in range(12)))
    assert worst(model, episodes) < EXACT_NATS


async def test_a_seeded_draw_does_not_depend_on_what_else_is_sampled(model: nn.Module) -> None:
    async with serving(model, max_sessions=16) as together, serving(model, max_sessions=1) as alone:
        crowd = await asyncio.gather(*(episode(together, number) for number in range(8)))
        lone = [await episode(alone, number) for number in range(8)]
    assert [[s.ids for _, s in played] for played in crowd] == [[s.ids for _, s in played] for played in lone]


async def test_requests_that_are_waited_for_give_the_same_bits_whoever_asks_first(wide: nn.Module) -> None:
    async def played(order: int) -> list[list[float]]:
        """Log-probabilities of twelve episodes that end after one to three turns, hurried and delayed by `order`."""
        haste = random.Random(order)
        left = 12

        async def one(engine: Local, number: int) -> list[float]:
            nonlocal left
            rng = random.Random(number)
            prompt, found = [rng.randrange(5, 300) for _ in range(rng.randrange(20, 90))], []
            for turn in range(1 + number % 3):
                await asyncio.sleep(haste.random() / 50)
                sample = await engine.sample(prompt, max_tokens=8, temperature=1.0, seed=100 * number + turn)
                found += sample.logprobs
                prompt = [*prompt, *sample.ids, 7, 8]
            left -= 1
            engine.expect(left)
            return found

        async with serving(wide, max_sessions=8) as engine:  # fewer rows than requests: a wave has a second part
            engine.expect(left)
            return await asyncio.gather(*(one(engine, number) for number in haste.sample(range(12), 12)))

    first, second = [sorted(await played(order)) for order in (1, 2)]
    assert first == second


async def test_draws_without_a_seed_differ(model: nn.Module) -> None:
    async with serving(model) as engine:
        found = await asyncio.gather(*(engine.sample([5, 6, 7], max_tokens=20, temperature=1.0) for _ in range(2)))
    assert found[0].ids != found[1].ids


def counted(model: nn.Module) -> list[tuple[int, int]]:
    """(rows, tokens) of every forward pass over a cache from now on."""
    passes: list[tuple[int, int]] = []

    def note(module: nn.Module, args: object, kwargs: dict[str, Tensor]) -> None:
        if "past_key_values" in kwargs:
            passes.append(tuple(kwargs["input_ids"].shape))  # type: ignore[arg-type]

    model.register_forward_pre_hook(note, with_kwargs=True)
    return passes


async def test_a_turn_reads_only_what_is_new(model: nn.Module) -> None:
    passes = counted(model)
    async with serving(model) as engine:
        first = await engine.sample([7] * 50, max_tokens=4, temperature=1.0, seed=0)
        before = len(passes)
        await engine.sample([*[7] * 50, *first.ids, 8, 9], max_tokens=1, temperature=1.0, seed=0)
    assert passes[0] == (1, 50)
    # The last sampled id was never read: it is read with the two that are new.
    assert passes[before:] == [(1, 3)]


async def test_a_group_reads_its_first_prompt_once(model: nn.Module) -> None:
    passes = counted(model)
    opening = [random.Random(0).randrange(5, 300) for _ in range(60)]
    async with serving(model) as engine:
        episodes = await asyncio.gather(*(episode(engine, number, opening=opening) for number in range(6)))
    assert sum(rows for rows, tokens in passes if tokens == 60) == 1
    assert worst(model, episodes) < EXACT_NATS


async def test_a_prompt_that_turns_off_reuses_what_it_shares_and_leaves_the_other_whole(model: nn.Module) -> None:
    shared = [9] * 40
    async with serving(model, max_sessions=4) as engine:
        passes = counted(model)
        trunk = await engine.sample([*shared, 10, 11], max_tokens=3, temperature=1.0, seed=1)
        branch = await engine.sample([*shared, 12, 13, 14], max_tokens=3, temperature=1.0, seed=2)
        again = await engine.sample([*shared, 10, 11, *trunk.ids, 15], max_tokens=3, temperature=1.0, seed=3)
    reading = [tokens for _, tokens in passes if tokens > 1]
    assert reading == [42, 3, 2]
    assert exact(model, [*shared, 12, 13, 14], branch) < EXACT_NATS
    assert exact(model, [*shared, 10, 11, *trunk.ids, 15], again) < EXACT_NATS


async def test_rows_grow_beyond_their_first_size(model: nn.Module) -> None:
    prompt = [random.Random(1).randrange(5, 300) for _ in range(200)]
    async with serving(model) as engine:
        short = await engine.sample(prompt, max_tokens=5, temperature=1.0, seed=0)
        longer = [*prompt, *short.ids, *prompt]
        sample = await engine.sample(longer, max_tokens=50, temperature=1.0, seed=0)
    assert exact(model, longer, sample) < EXACT_NATS


async def test_at_temperature_zero_the_likeliest_id_is_taken_with_its_plain_log_probability(model: nn.Module) -> None:
    prompt = [5, 9, 33, 71]
    async with serving(model) as engine:
        sample = await engine.sample(prompt, max_tokens=6, temperature=0.0)
    ids = torch.tensor([prompt + sample.ids])
    greedy = model(ids).logits[0, len(prompt) - 1 : -1].argmax(-1).tolist()
    assert sample.ids == greedy
    assert exact(model, prompt, sample) < EXACT_NATS


async def test_ids_are_drawn_in_proportion_to_their_probability(model: nn.Module) -> None:
    prompt = [5, 6, 7, 8]
    with torch.no_grad():
        expected_V = torch.softmax(model(torch.tensor([prompt])).logits[0, -1] / 0.2, -1)
    async with serving(model, max_sessions=64) as engine:
        found = await asyncio.gather(
            *(engine.sample(prompt, max_tokens=1, temperature=0.2, seed=seed) for seed in range(2000))
        )
    seen_V = torch.bincount(torch.tensor([sample.ids[0] for sample in found]), minlength=len(expected_V)) / 2000
    top = expected_V.topk(3).indices
    assert expected_V[top].min() > 0.005
    deviation = (expected_V[top] * (1 - expected_V[top]) / 2000).sqrt()
    assert ((seen_V[top] - expected_V[top]).abs() < 5 * deviation).all()


async def test_a_stop_id_ends_the_sample_and_is_kept(model: nn.Module) -> None:
    with torch.no_grad():
        model.get_input_embeddings().weight[STOP] *= 30  # type: ignore[operator]
    async with serving(model) as engine:
        found = await asyncio.gather(*(engine.sample([5], max_tokens=40, temperature=1.0, seed=s) for s in range(8)))
    stopped = [sample for sample in found if sample.stop == "stop"]
    assert stopped
    for sample in found:
        assert (sample.ids[-1] == STOP) == (sample.stop == "stop")
        assert STOP not in sample.ids[:-1]
        assert len(sample.ids) == len(sample.logprobs) <= 40


async def test_weights_that_change_in_place_count_from_the_next_load(model: nn.Module) -> None:
    prompt = [5, 6, 7, 8, 9]
    async with serving(model) as engine:
        first = await engine.sample(prompt, max_tokens=5, temperature=1.0, seed=0)
        with weights_lock(model), torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.05 * torch.randn_like(parameter)
        await engine.load(dict(model.named_parameters()), 3)
        longer = [*prompt, *first.ids, 12]
        second = await engine.sample(longer, max_tokens=5, temperature=1.0, seed=0)
    assert (first.version, second.version) == (0, 3)
    assert exact(model, longer, second) < EXACT_NATS


async def test_an_engine_with_its_own_copy_takes_the_weights_it_is_given(model: nn.Module) -> None:
    other, _ = load_model(tiny_model())
    with torch.no_grad():
        for parameter in other.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    async with serving(model) as engine:
        await engine.load(dict(other.named_parameters()), 1)
        sample = await engine.sample([5, 6, 7], max_tokens=5, temperature=1.0, seed=0)
    assert exact(other, [5, 6, 7], sample) < EXACT_NATS


async def test_a_sample_under_way_at_a_load_begins_anew_and_is_of_the_new_version_only(model: nn.Module) -> None:
    other, _ = load_model(tiny_model())
    with torch.no_grad():
        for parameter in other.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    drawing, loading = threading.Event(), threading.Event()
    passes = counted(model)

    def hold(module: nn.Module, args: object) -> None:
        if len(passes) == 5:
            drawing.set()
            assert loading.wait(30)

    model.register_forward_pre_hook(hold)
    async with serving(model) as engine:
        running = asyncio.create_task(engine.sample([5, 6, 7], max_tokens=20, temperature=1.0, seed=4))
        assert await asyncio.to_thread(drawing.wait, 30)
        load = asyncio.create_task(engine.load(dict(other.named_parameters()), 1))
        await asyncio.sleep(0)  # it stands in line from here on
        loading.set()
        await load
        sample = await running
        again = await engine.sample([5, 6, 7], max_tokens=20, temperature=1.0, seed=4)
    assert (sample.version, sample.ids) == (1, again.ids)
    assert exact(other, [5, 6, 7], sample) < EXACT_NATS


async def test_weights_of_another_model_are_refused_and_nothing_is_lost(model: nn.Module) -> None:
    async with serving(model) as engine:
        with pytest.raises(ValueError, match="another model"):
            await engine.load({"model.embed_tokens.weight": torch.zeros(3, 3)}, 1)
        with pytest.raises(ValueError, match="another model"):
            await engine.load({"nonsense": torch.zeros(1)}, 1)
        assert engine.version == 0
        await engine.sample([5], max_tokens=2, temperature=1.0)


async def test_adapters_are_sampled_from() -> None:
    adapted, _ = load_model(tiny_model(), lora=LoraConfig(r=4))
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
    async with serving(adapted, max_sessions=4) as engine:
        episodes = await asyncio.gather(*(episode(engine, number) for number in range(6)))
    assert worst(adapted, episodes) < EXACT_NATS


@pytest.mark.parametrize("kind", ["gpt2", "qwen2", "gpt_neox"])
async def test_other_families_of_models_are_sampled_exactly(kind: str) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes: dict[str, dict[str, int]] = {
        "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 256},
        "qwen2": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2},
        "gpt_neox": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64},
    }
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, vocab_size=300, **sizes[kind])
    other = AutoModelForCausalLM.from_config(config).eval()
    async with serving(other, max_sessions=4, context_tokens=256) as engine:
        episodes = await asyncio.gather(*(episode(engine, number) for number in range(6)))
    assert worst(other, episodes) < EXACT_NATS


async def test_eager_attention_is_exact_too() -> None:
    eager, _ = load_model(tiny_model())
    eager.set_attn_implementation("eager")  # type: ignore[operator]
    async with serving(eager, max_sessions=4) as engine:
        episodes = await asyncio.gather(*(episode(engine, number) for number in range(6)))
    assert worst(eager, episodes) < EXACT_NATS


async def test_what_does_not_fit_or_make_sense_is_refused(model: nn.Module) -> None:
    async with serving(model, context_tokens=64) as engine:
        with pytest.raises(ContextFull, match="do not fit 64"):
            await engine.sample([5] * 60, max_tokens=5, temperature=1.0)
        await engine.sample([5] * 60, max_tokens=4, temperature=1.0)
        for prompt, settings in (
            ([], {}),
            ([5, 10_000], {}),
            ([-1], {}),
            ([5], {"max_tokens": 0}),
            ([5], {"temperature": -1.0}),
            ([5], {"temperature": float("nan")}),
        ):
            with pytest.raises(ValueError, match=r"prompt is one or more ids|max_tokens must be positive"):
                await engine.sample(prompt, **({"max_tokens": 1, "temperature": 1.0} | settings))  # type: ignore[arg-type]


def test_attention_that_cannot_be_cached_by_position_is_refused() -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(
        "mistral", vocab_size=300, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
        intermediate_size=32, sliding_window=64,
    )  # fmt: skip
    sliding = AutoModelForCausalLM.from_config(config)
    with pytest.raises(ValueError, match="slides over 64 tokens"):
        Local(sliding, stop_ids=[STOP], context_tokens=100)


async def test_an_error_reaches_everybody_who_waits_and_the_engine_serves_on(model: nn.Module) -> None:
    weight: Tensor = model.get_input_embeddings().weight  # type: ignore[operator]
    async with serving(model, max_sessions=2) as engine:
        whole = weight.detach().clone()
        with torch.no_grad():
            weight[7] = float("nan")
        asked = [engine.sample([7, 7, number], max_tokens=5, temperature=1.0) for number in range(8, 14)]
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(error) for error in found] == [FloatingPointError] * 6
        with torch.no_grad():
            weight.copy_(whole)
        sample = await engine.sample([7, 7, 7], max_tokens=5, temperature=1.0, seed=0)
    assert exact(model, [7, 7, 7], sample) < EXACT_NATS


async def test_closing_answers_everybody_and_is_safe_twice(model: nn.Module) -> None:
    engine = Local(model, stop_ids=[])
    asked = [asyncio.create_task(engine.sample([5, n], max_tokens=500, temperature=1.0)) for n in range(5, 8)]
    await asyncio.sleep(0.05)
    await engine.close()
    await engine.close()
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(error) for error in found] == [RuntimeError] * 3
    with pytest.raises(RuntimeError, match="closed"):
        await engine.sample([5], max_tokens=1, temperature=1.0)


async def test_a_caller_that_gives_up_frees_its_row(model: nn.Module) -> None:
    async with serving(model, max_sessions=1) as engine:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(engine.sample([5], max_tokens=510, temperature=1.0, seed=0), 0.02)
        sample = await asyncio.wait_for(engine.sample([6], max_tokens=2, temperature=1.0, seed=0), 30)
    assert exact(model, [6], sample) < EXACT_NATS


def test_an_engine_serves_one_event_loop_after_another(model: nn.Module) -> None:
    engine = Local(model, stop_ids=[STOP])
    ask: Callable[[], object] = lambda: asyncio.run(engine.sample([5, 6], max_tokens=3, temperature=1.0, seed=1))  # noqa: E731
    assert ask() == ask()
    asyncio.run(engine.close())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
async def test_cuda_samples_what_the_cpu_would(model: nn.Module) -> None:
    async with serving(model, max_sessions=8, device="cuda") as engine:
        episodes = await asyncio.gather(*(episode(engine, number) for number in range(12)))
        assert next(engine.model.parameters()).is_cuda
    assert worst(model, episodes) < 1e-3

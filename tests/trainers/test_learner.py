"""Forward, backward and step; the trainer's log-probabilities are the sampler's."""

from __future__ import annotations

import math
import random

import pytest
import torch
from tiny import tiny_model

from trainers.batch import Batch, Row, collate, token_entropies, token_logprobs
from trainers.config import LearnerConfig, LoraConfig
from trainers.costs import worst_bytes
from trainers.engines.local import Local
from trainers.learner import Learner
from trainers.models import load_model
from trainers.reader import mixed
from trainers.segments import Segment


def learner(
    lora: LoraConfig | None = None, *, reference: bool = False, critic: bool = False, **settings: object
) -> Learner:
    torch.manual_seed(0)
    model, tokenizer = load_model(tiny_model(), lora=lora)
    config = LearnerConfig(**{"lr": 1e-3} | settings)  # type: ignore[arg-type]
    return Learner(model, config, reference=reference, critic=critic, tokenizer=tokenizer)


def batch(rows: int = 3, *, temperature: float = 0.8, seed: int = 0) -> Batch:
    rng, made = random.Random(seed), []
    for number in range(rows):
        n = 20 + 5 * number
        mask = [t > 5 and t % 3 > 0 for t in range(n)]
        ids = [rng.randrange(5, 300) for _ in range(n)]
        found = Segment(ids, mask, [0.0] * n, [1.0 * m for m in mask], [0 if m else -1 for m in mask])
        made.append(Row(found, episode=number, group=0, ret=1.0, temperature=temperature))
    return collate(made)


def nll(one: Learner, shown: Batch) -> float:
    loss = -one.forward(shown).logp_BL.sum() / shown.sampled_tokens
    one.backward(loss)
    return float(loss.detach())


def test_a_forward_pass_equals_the_models_own_logits_at_the_rows_temperature() -> None:
    one, shown = learner(), batch(temperature=0.7)
    found = one.forward(shown, frozenset({"entropy"}))
    logits_BLV = one.model(shown.ids_BL).logits / 0.7
    torch.testing.assert_close(found.logp_BL, token_logprobs(logits_BLV, shown.ids_BL) * shown.mask_BL)
    torch.testing.assert_close(found.entropy_BL, token_entropies(logits_BLV) * shown.mask_BL)
    assert found.reference_BL is None
    assert found.value_BL is None


@pytest.mark.parametrize("lora", [None, LoraConfig(r=4)])
async def test_the_trainer_says_what_the_sampler_said_after_every_update(lora: LoraConfig | None) -> None:
    one = learner(lora)
    engine = Local(one.model, stop_ids=[])
    try:
        for version in range(3):
            sample = await engine.sample([5, 6, 7, 8], max_tokens=20, temperature=0.8, seed=version)
            assert sample.version == version == one.version
            n = len(sample.ids)
            found = Segment([5, 6, 7, 8, *sample.ids], [False] * 4 + [True] * n, [0.0] * 4 + sample.logprobs)
            found.advantages, found.turns = [0.0] * (n + 4), [-1] * (n + 4)
            shown = collate([Row(found, 0, 0, 0.0, temperature=0.8)])
            with torch.no_grad():
                gap_BL = one.forward(shown).logp_BL - shown.behaviour_BL
            assert gap_BL.abs().max() < 1e-5
            nll(one, batch())
            one.step()
            await engine.load(one.weights(), one.version)
    finally:
        await engine.close()


@pytest.mark.parametrize("lora", [None, LoraConfig(r=4)])
def test_steps_make_the_sampled_ids_likelier_and_leave_the_reference(lora: LoraConfig | None) -> None:
    one, shown = learner(lora, reference=True, lr=1e-2), batch()
    before = one.forward(shown, frozenset({"reference"}))
    torch.testing.assert_close(before.reference_BL, before.logp_BL)
    losses = []
    for _ in range(5):
        losses.append(nll(one, shown))
        one.step()
    assert losses[-1] < losses[0] - 0.05
    after = one.forward(shown, frozenset({"reference"}))
    torch.testing.assert_close(after.reference_BL, before.reference_BL)
    one.rebase()
    rebased = one.forward(shown, frozenset({"reference"}))
    torch.testing.assert_close(rebased.reference_BL, after.logp_BL)


def test_a_reference_of_an_untied_model_has_its_own_head() -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=300, tie_word_embeddings=False, **sizes))  # type: ignore[arg-type]
    one = Learner(model, LearnerConfig(lr=1e-2), reference=True)
    shown = batch()
    before = one.forward(shown).logp_BL.detach()
    nll(one, shown)
    one.step()
    found = one.forward(shown, frozenset({"reference"}))
    torch.testing.assert_close(found.reference_BL, before)
    assert not torch.allclose(found.logp_BL, before)


def test_gradients_of_micro_batches_add_up_to_those_of_the_whole() -> None:
    whole, parts, shown = learner(), learner(), batch(4)
    nll(whole, shown)
    total = shown.sampled_tokens
    for b in range(4):
        row = Batch(**{name: getattr(shown, name)[b : b + 1] for name in shown.__dataclass_fields__ if name[-1] in "BL"
                       and getattr(shown, name) is not None})  # fmt: skip
        parts.backward(-parts.forward(row).logp_BL.sum() / total)
    for name, parameter in whole.parameters.items():
        torch.testing.assert_close(parts.parameters[name].grad, parameter.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("lora", [None, LoraConfig(r=4)])
def test_what_is_computed_again_has_the_gradients_of_what_was_kept(lora: LoraConfig | None) -> None:
    kept, again, shown = learner(lora, critic=True), learner(lora, critic=True, recompute=True), batch()
    held = []
    for one in (kept, again):
        nll(one, shown)
        value_BL = one.forward(shown, frozenset({"value"})).value_BL
        assert value_BL is not None
        one.backward(((value_BL - 1) ** 2 * shown.mask_BL).sum())
        held.append(worst_bytes(lambda one=one: nll(one, shown), one.device))
    for name, parameter in kept.parameters.items():
        assert (parameter.grad is None) == (again.parameters[name].grad is None)
        if parameter.grad is not None:
            torch.testing.assert_close(again.parameters[name].grad, parameter.grad, rtol=1e-5, atol=1e-6)
    assert held[1] < 0.8 * held[0]


def test_the_head_computes_in_float32_whatever_the_trunk_does() -> None:
    shown = batch(temperature=1.0)
    for one in (learner(autocast=True), Learner(learner().model.bfloat16(), LearnerConfig())):
        with torch.no_grad(), mixed(one.config.autocast, "cpu"):
            hidden_BLD = one.model.base_model(input_ids=shown.ids_BL, use_cache=False).last_hidden_state
        weight_VD = one.model.get_output_embeddings().weight
        exact_BLV = hidden_BLD.float() @ weight_VD.float().T
        expected_BL = token_logprobs(exact_BLV, shown.ids_BL) * shown.mask_BL
        rounded_BL = token_logprobs(exact_BLV.bfloat16(), shown.ids_BL) * shown.mask_BL
        found_BL = one.forward(shown).logp_BL
        assert found_BL.dtype == torch.float32
        torch.testing.assert_close(found_BL, expected_BL, rtol=1e-5, atol=1e-5)
        assert not torch.allclose(found_BL, rounded_BL, rtol=1e-4, atol=1e-4)
        nll(one, shown)
        assert all(p.grad is not None for p in one.parameters.values())


def test_the_same_batches_give_the_same_weights() -> None:
    pair = learner(), learner()
    for one in pair:
        for seed in range(3):
            nll(one, batch(seed=seed))
            one.step()
    for name, tensor in pair[0].weights().items():
        assert torch.equal(tensor, pair[1].weights()[name])


def test_a_gradient_that_is_not_finite_is_skipped_and_counted() -> None:
    one = learner()
    before = {name: tensor.clone() for name, tensor in one.weights().items()}
    one.backward(one.forward(batch()).logp_BL.sum() * float("inf"))
    metrics = one.step()
    assert metrics["learner/skipped"] == 1.0
    assert (one.version, one.skipped) == (0, 1)
    assert all(torch.equal(before[name], tensor) for name, tensor in one.weights().items())
    nll(one, batch())
    assert one.step()["learner/skipped"] == 0.0
    assert one.version == 1


def test_the_critic_learns_at_its_own_rate_and_never_pulls_at_the_policy() -> None:
    one, shown = learner(critic=True), batch()
    before = {name: tensor.clone() for name, tensor in one.weights().items()}
    errors = []
    for _ in range(20):
        value_BL = one.forward(shown, frozenset({"value"})).value_BL
        assert value_BL is not None
        error = ((value_BL - 1.0) ** 2 * shown.mask_BL).sum() / shown.sampled_tokens
        one.backward(error)
        errors.append(float(error.detach()))
        metrics = one.step()
    assert errors[0] == 1.0  # values begin at 0
    assert errors[-1] < 0.1
    assert metrics["learner/critic_grad_norm"] > 0
    assert all(torch.equal(before[name], tensor) for name, tensor in one.weights().items())
    assert {round(group["lr"], 9) for group in one.optimizer.param_groups} == {1e-3, 1e-2}


def test_a_value_does_not_see_the_id_it_is_asked_about() -> None:
    one, shown = learner(critic=True), batch(1)
    assert one.critic is not None
    torch.nn.init.normal_(one.critic.head.weight)
    value_BL = one.forward(shown, frozenset({"value"})).value_BL
    shown.ids_BL[0, 10:] = 7
    changed_BL = one.forward(shown, frozenset({"value"})).value_BL
    assert value_BL is not None
    assert changed_BL is not None
    torch.testing.assert_close(value_BL[0, :11], changed_BL[0, :11])
    assert not torch.allclose(value_BL[0, 11:], changed_BL[0, 11:])


def test_gradients_are_clipped_to_a_norm() -> None:
    one = learner(grad_clip=1e-3, lr=1.0)
    nll(one, batch())
    norm = one.step()["learner/grad_norm"]
    assert norm > 1e-3  # reported as it was before the clip


def test_the_schedule_warms_up_and_falls() -> None:
    cosine = learner(schedule="cosine", warmup_steps=2, total_steps=12, floor=0.1)
    assert [round(cosine.schedule(step), 3) for step in (0, 1, 2, 7, 12, 99)] == [0.5, 1.0, 1.0, 0.55, 0.1, 0.1]
    linear = learner(schedule="linear", total_steps=10, floor=0.0)
    assert [round(linear.schedule(step), 3) for step in (0, 5, 10)] == [1.0, 0.5, 0.0]
    assert learner().schedule(10**6) == 1.0
    with pytest.raises(ValueError, match="needs total_steps"):
        LearnerConfig(schedule="cosine")
    nll(cosine, batch())
    assert cosine.step(lr_scale=0.5)["learner/lr"] == pytest.approx(1e-3 * 0.5 * 0.5)
    nll(cosine, batch())
    assert cosine.step(lr=3e-4)["learner/lr"] == pytest.approx(3e-4)


def test_what_cannot_be_answered_is_refused_in_a_sentence() -> None:
    one = learner()
    with pytest.raises(ValueError, match="temperature 0 cannot be trained on"):
        one.forward(batch(temperature=0.0))
    with pytest.raises(ValueError, match="keeps none"):
        one.forward(batch(), frozenset({"reference"}))
    with pytest.raises(ValueError, match="no critic"):
        one.forward(batch(), frozenset({"value"}))


def test_a_model_that_bends_its_logits_is_not_taken_apart() -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(
        "granite", vocab_size=300, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
        intermediate_size=32, logits_scaling=4.0,
    )  # fmt: skip
    torch.manual_seed(0)
    one = Learner(AutoModelForCausalLM.from_config(config), LearnerConfig())
    shown = batch(temperature=1.0)
    expected_BL = token_logprobs(one.model(shown.ids_BL).logits, shown.ids_BL) * shown.mask_BL
    torch.testing.assert_close(one.forward(shown).logp_BL, expected_BL)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
def test_cuda_says_what_the_cpu_says() -> None:
    model, _ = load_model(tiny_model(), device="cuda")
    on_gpu = Learner(model, LearnerConfig(), device="cuda", reference=True, critic=True)
    wanted = frozenset({"entropy", "reference", "value"})
    there, here = on_gpu.forward(batch(), wanted), learner().forward(batch())
    assert there.logp_BL.device.type == "cpu"  # what comes back lies where the batch lies
    torch.testing.assert_close(there.logp_BL, here.logp_BL, atol=1e-3, rtol=1e-3)
    on_gpu.backward(-there.logp_BL.sum() / batch().sampled_tokens)
    assert math.isfinite(on_gpu.step()["learner/grad_norm"])

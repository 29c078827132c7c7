"""keydoor and null: what the trivial worlds promise."""

import random
from itertools import islice

import pytest

from envserver import Action, Task
from envserver.envs.keydoor import Keydoor
from envserver.envs.null import Null


def room(key="doors-3/train/0000", seed=0, **options):
    world = Keydoor(Keydoor.Config(**options))
    return world, world.reset(Task(env="keydoor", key=key, seed=seed))


def test_the_expert_wins_every_room_in_two_to_four_steps():
    lengths = set()
    for split in Keydoor.splits:
        for key in islice(Keydoor.tasks(Keydoor.Config(), split), 200):
            world, result = room(key)
            steps = 0
            while not result.over:
                result = world.step(world.expert())
                steps += 1
            assert (result.success, result.reward) == (True, 1.0)
            lengths.add(steps)
    assert lengths == {2, 3, 4}


def test_a_random_player_wins_one_room_in_four_to_ten():
    rng = random.Random(0)
    wins = 0
    for key in islice(Keydoor.tasks(Keydoor.Config(), "train"), 2000):
        world, result = room(key)
        while not result.over:
            result = world.step(Action(text=rng.choice(result.observation.choices)))
        wins += result.success
    assert 0.10 <= wins / 2000 <= 0.25


def test_the_answer_cannot_be_given_by_position():
    places = [0] * 3
    for key in islice(Keydoor.tasks(Keydoor.Config(), "train"), 900):
        world, _ = room(key)
        places[world.colours.index(world.exit)] += 1
    assert all(240 <= place <= 360 for place in places)


def test_every_listed_choice_is_accepted_and_every_other_text_is_answered():
    world, result = room("doors-4/train/0001", max_steps=50)
    for choice in result.observation.choices:
        assert "Nothing happens" not in world.copy().step(Action(text=choice)).observation.text
    for nonsense in ("", "open", "open mauve door", "take", "x" * 2**20, "\x00\x1b[2J"):
        assert world.step(Action(text=nonsense)).observation.text.startswith("Nothing happens.")
    assert world.step(Action(tool="open", arguments={"door": "red"})).observation.text.startswith("Nothing happens.")


def test_a_wrong_door_that_is_unlocked_is_a_trap():
    world, result = room("doors-3/train/0000", max_steps=50)
    wrong = next(colour for colour in world.colours if colour != world.exit)
    result = world.step(Action(text="light lamp"))
    result = world.step(Action(text=f"open {wrong} door"))
    assert "locked" in result.observation.text
    world.step(Action(text=f"TAKE  {wrong} key"))
    result = world.step(Action(text=f"open {wrong} door"))
    assert (result.terminated, result.success, result.reward) == (True, False, 0.0)


def test_the_step_limit_cuts_the_episode():
    world, _ = room(max_steps=4)
    results = [world.step(Action(text="wait")) for _ in range(4)]
    assert [result.over for result in results] == [False, False, False, True]
    assert results[-1].truncated
    assert results[-1].success is False


def test_a_house_has_one_way_out_that_no_text_names_and_another_town_has_others():
    ways: dict[str, set[str]] = {}
    for number in range(300):
        world, result = room(f"doors-4/train/{number:04d}", houses=20)
        assert world.exit in world.colours
        assert len(set(world.colours)) == 4
        seen = result.observation.text
        while not result.over:
            assert "way out" not in result.observation.text
            result = world.step(world.expert())
            seen += result.observation.text if not result.over else ""
        assert result.success
        assert f"On the wall: {', '.join(world.wall)}." in seen
        ways.setdefault(" ".join(world.wall), set()).add(world.exit)
    assert len(ways) == 20
    assert all(len(out) == 1 for out in ways.values())
    assert not ways.keys() & {
        " ".join(room(f"doors-4/train/{number:04d}", houses=20, town=1)[0].wall) for number in range(50)
    }


def test_in_a_house_neither_chest_nor_place_tells_the_way_out():
    in_chest = out_in_chest = 0
    places = [0] * 4
    for number in range(2000):
        world, _ = room(f"doors-4/train/{number:04d}", houses=2000)
        places[world.colours.index(world.exit)] += 1
        in_chest += bool(world.chest)
        out_in_chest += world.chest == world.exit
    assert 0.19 <= out_in_chest / in_chest <= 0.31
    assert all(420 <= place <= 580 for place in places)


def test_the_seed_makes_another_room_under_the_same_key():
    assert len({room(seed=seed)[1].observation.text for seed in range(20)}) > 5


@pytest.mark.parametrize(
    "key", ["doors-9/train/0000", "doors-3/train/7", "doors-3/test/1000", "red", "", "doors-3/train/0000\n"]
)
def test_an_unknown_key_is_refused(key):
    with pytest.raises(KeyError):
        room(key)


def test_there_are_ten_thousand_lazy_training_keys():
    keys = Keydoor.tasks(Keydoor.Config(doors=5), "train")
    assert (len(keys), keys[7], keys[-1]) == (10_000, "doors-5/train/0007", "doors-5/train/9999")
    assert keys[2:4] == ["doors-5/train/0002", "doors-5/train/0003"]
    with pytest.raises(IndexError):
        keys[10_000]


def test_a_mixture_lists_rooms_of_each_number_of_doors_in_turn():
    keys = Keydoor.tasks(Keydoor.Config(mixture=(2, 8)), "valid")
    assert list(keys[:3]) == ["doors-2/valid/0000", "doors-8/valid/0000", "doors-2/valid/0001"]
    assert (len(keys), keys[-1]) == (2_000, "doors-8/valid/0999")
    with pytest.raises(ValueError, match="stands once in it"):
        Keydoor.Config(mixture=(2, 2))


def test_null_shows_785_bytes_and_20_choices_until_its_limit():
    world = Null(Null.Config(max_steps=3))
    shown = [world.reset(Task(env="null", key="null/train/0")), *(world.step(Action(text="x")) for _ in range(3))]
    assert [len(result.observation.text.encode()) for result in shown[:3]] == [785] * 3
    assert [len(result.observation.choices) for result in shown[:3]] == [20] * 3
    assert [result.over for result in shown] == [False, False, False, True]

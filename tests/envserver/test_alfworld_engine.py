"""Our ALFWorld engine: texts, commands, goals and problems, on a kitchen small enough to be read."""

from __future__ import annotations

import random

import pytest
from kitchen import APPLE_IN_SINK, play, problem, row, said

from envserver.envs._alfworld.grammar import named
from envserver.envs._alfworld.play import Game, Play
from envserver.envs._alfworld.row import GameUnreadable

NOTHING = "Nothing happens."


def test_the_opening_shows_the_room_and_the_task():
    opening = play()
    assert opening.text == (
        "-= Welcome to TextWorld, ALFRED! =-\n\n"
        "You are in the middle of a room. Looking quickly around you, you see a cabinet 2, a cabinet 1, "
        "a countertop 1, a fridge 1, a microwave 1, a sidetable 1, and a sinkbasin 1.\n\n"
        "Your task is to: put some apple in sinkbasin."
    )
    assert opening.admissible() == (
        "go to cabinet 1", "go to cabinet 2", "go to countertop 1", "go to fridge 1", "go to microwave 1",
        "go to sidetable 1", "go to sinkbasin 1", "help", "inventory", "look",
    )  # fmt: skip
    assert Play(opening.game, "Do it!").text.endswith("Your task is to: Do it!.")


def test_a_look_in_the_middle_of_the_room_sees_nothing_and_at_a_receptacle_what_was_moved_beside_it():
    kitchen = play()
    assert said(kitchen, "look") == ["You are in the middle of a room. Looking quickly around you, you see nothing."]
    assert said(kitchen, "go to cabinet 2", "open cabinet 2", "open cabinet 1", "look") == [
        "You arrive at cabinet 2. The cabinet 2 is closed.",
        "You open the cabinet 2. The cabinet 2 is open. In it, you see a mug 1.",
        "You open the cabinet 1. The cabinet 1 is open. In it, you see nothing.",
        "You are facing the cabinet 2, and cabinet 1. Next to it, you see nothing.",
    ]
    assert said(kitchen, "take mug 1 from cabinet 2", "move mug 1 to cabinet 1", "look")[1:] == [
        "You move the mug 1 to the cabinet 1.",
        "You are facing the cabinet 2, and cabinet 1. Next to it, you see a mug 1.",
    ]
    assert play(start="loc_bar_1").text.split("\n\n")[1] == "You are facing the fridge 1. Next to it, you see nothing."


def test_receptacles_that_share_a_location_cannot_be_gone_to_from_each_other():
    kitchen = play()
    assert said(kitchen, "go to cabinet 1", "go to cabinet 2", "go to cabinet 1")[1:] == [NOTHING, NOTHING]
    assert {"open cabinet 1", "open cabinet 2", "examine cabinet 2"} < set(kitchen.admissible())


def test_only_what_is_held_can_be_examined_and_only_an_empty_hand_takes():
    kitchen = play()
    assert said(kitchen, "go to countertop 1", "examine apple 1", "take apple 1 from countertop 1") == [
        "You arrive at countertop 1. On the countertop 1, you see a apple 1, and a knife 1.",
        NOTHING,
        "You pick up the apple 1 from the countertop 1.",
    ]
    assert said(kitchen, "take knife 1 from countertop 1", "examine apple 1", "inventory") == [
        NOTHING,
        "There's nothing special about apple 1.",
        "You are carrying: a apple 1.",
    ]
    assert said(kitchen, "move apple 1 to countertop 1", "inventory")[1] == "You are not carrying anything."


def test_treatments_and_conditions_are_told_in_the_package_s_words():
    kitchen = play()
    said(kitchen, "go to fridge 1", "open fridge 1", "take apple 2 from fridge 1")
    told = said(
        kitchen,
        "examine apple 2",
        "go to microwave 1",
        "heat apple 2 with microwave 1",
        "examine apple 2",
        "go to sinkbasin 1",
        "clean apple 2 with sinkbasin 1",
        "examine apple 2",
        "go to fridge 1",
        "cool apple 2 with fridge 1",
        "examine apple 2",
    )
    assert told[0] == "This is a cold apple 2."
    assert told[2:4] == ["You heat the apple 2 using the microwave 1.", "This is a hot apple 2."]
    assert told[5:7] == ["You clean the apple 2 using the sinkbasin 1.", "This is a hot and clean apple 2."]
    assert told[8:] == ["You cool the apple 2 using the fridge 1.", "This is a cool and clean apple 2."]


def test_things_are_sliced_with_a_knife_lamps_go_on_and_vessels_show_what_they_hold():
    kitchen = play()
    told = said(kitchen, "go to countertop 1", "take knife 1 from countertop 1", "slice apple 1 with knife 1")
    assert told[-1] == "You sliced the apple 1 with the knife 1."
    told = said(kitchen, "move knife 1 to countertop 1", "take apple 1 from countertop 1", "examine apple 1")
    assert told[-1] == "This is a sliced apple 1."
    assert (
        said(kitchen, "go to sidetable 1", "use desklamp 1", "use desklamp 1")[1:]
        == ["You turn on the desklamp 1."] * 2
    )
    kitchen = play()
    told = said(kitchen, "go to cabinet 2", "open cabinet 2", "take mug 1 from cabinet 2", "examine mug 1")
    assert told[-1] == "This is a normal mug 1. In it, you see a spoon 1."


def test_the_older_dialect_puts_in_or_on_arrives_at_locations_and_knows_no_help():
    kitchen = play(dialect="0.2")
    assert kitchen.admissible()[-2:] == ("inventory", "look")
    said(kitchen, "go to countertop 1", "take apple 1 from countertop 1")
    assert "put apple 1 in/on countertop 1" in kitchen.admissible()
    assert said(
        kitchen, "help", "go to sinkbasin 1", "move apple 1 to sinkbasin 1", "put apple 1 in/on sinkbasin 1"
    ) == [
        NOTHING,
        "You arrive at loc 5. On the sinkbasin 1, you see nothing.",
        NOTHING,
        "You put the apple 1 in/on the sinkbasin 1.",
    ]
    assert kitchen.won


def test_a_command_is_read_as_it_stands_but_for_the_space_around_it():
    kitchen = play()
    before = kitchen.state
    for command in (
        "Look",
        "LOOK",
        "look  look",
        "go  to fridge 1",
        "go to fridge",
        "",
        " ",
        "\0",
        "xyzzy",
        "open fridge 1",
    ):
        assert kitchen.step(command) == NOTHING
        assert not kitchen.moved
    assert kitchen.state == before
    assert kitchen.step(" \tgo to fridge 1\n ").startswith("You arrive at fridge 1.")
    assert kitchen.moved
    assert play().step("help").startswith("Available commands:\n  look: ")


def test_a_copy_is_played_on_its_own():
    kitchen = play()
    said(kitchen, "go to countertop 1", "take apple 1 from countertop 1")
    twin = kitchen.copy()
    assert (twin.text, twin.admissible(), twin.state) == (kitchen.text, kitchen.admissible(), kitchen.state)
    said(twin, "go to sinkbasin 1", "move apple 1 to sinkbasin 1")
    assert (twin.won, kitchen.won) == (True, False)
    assert "move apple 1 to countertop 1" in kitchen.admissible()


def test_equal_states_are_equal_whatever_way_led_there():
    one, other = play(), play()
    said(one, "go to fridge 1", "look", "go to sidetable 1", "nonsense")
    said(other, "go to sidetable 1")
    assert one.state == other.state
    assert len({one.state, other.state}) == 1


def test_ids_are_numbered_by_kind_from_the_last_one_down():
    ids = ["cup_bar_2", "cup_bar_1", "sink_bar_1", "sink_bar_1_bar_sinkbasin", "agent1", "a_minus_b_bar_3"]
    assert named(ids) == {
        "agent1": "agent1 ",
        "a_minus_b_bar_3": "a-b 1",
        "cup_bar_1": "cup 2",
        "cup_bar_2": "cup 1",
        "sink_bar_1": "sink 1",
        "sink_bar_1_bar_sinkbasin": "sinkbasin 1",
    }


@pytest.mark.parametrize(
    ("goal", "commands"),
    [
        ("(and (holds agent1 apple_bar_1) (atlocation agent1 loc_bar_3))", ["go to sinkbasin 1"]),
        ("(or (opened fridge_bar_1) (ison desklamp_bar_1))", ["go to fridge 1", "open fridge 1"]),
        ("(not (exists (?o - object) (holds agent1 ?o)))", ["go to sinkbasin 1", "move apple 2 to sinkbasin 1"]),
        (
            "(forall (?c - receptacle) (imply (receptacletype ?c cabinettype) (opened ?c)))",
            ["go to cabinet 1", "open cabinet 1", "open cabinet 2"],
        ),
        (
            "(exists (?a ?b - object) (and (not (= ?a ?b)) (objecttype ?a appletype) (objecttype ?b appletype)"
            " (exists (?r - receptacle) (and (inreceptacle ?a ?r) (inreceptacle ?b ?r)))))",
            ["go to countertop 1", "move apple 2 to countertop 1"],
        ),
        ("(exists (?o - object) (and (isclean ?o) (ishot ?o) (cleanable ?o)))",
         ["go to sinkbasin 1", "clean apple 2 with sinkbasin 1", "go to microwave 1", "heat apple 2 with microwave 1"]),
        ("(exists (?o - object) (and (objecttype ?o appletype) (exists (?o - object) (istoggled ?o)) (ishot ?o)))",
         ["go to microwave 1", "heat apple 2 with microwave 1", "go to sidetable 1", "use desklamp 1"]),
        ("(exists (?l - location) (and (objectatlocation apple_bar_1 ?l) (atlocation agent1 ?l)))",
         ["go to sidetable 1", "move apple 2 to sidetable 1"]),
    ],
)  # fmt: skip
def test_a_goal_of_any_form_is_reached_by_its_last_command_alone(goal, commands):
    kitchen = play(goal, more="(holds agent1 apple_bar_1) (holdsany agent1)")
    for command in commands:
        assert not kitchen.won, command
        kitchen.step(command)
        assert kitchen.moved, (command, kitchen.admissible())
    assert kitchen.won


DAMAGED = {
    "begins with": ("hello", "not with '\\(define'"),
    "empty": ("", "is no PDDL problem"),
    "no objects": (problem().replace("(:objects", "(:things"), "has no ':objects' section"),
    "no init": (problem().replace("(:init", "(:start"), "has no ':init' section"),
    "no goal": (problem().replace("(:goal", "(:wish"), "has no ':goal' section"),
    "cut in init": (problem()[:1500], "':init' section"),
    "cut in goal": (problem()[:-20], "in the middle of its goal"),
    "type": (problem().replace("fridge_bar_1 - receptacle", "fridge_bar_1 - spaceship"), "unknown type 'spaceship'"),
    "untyped": (problem().replace("(:objects", "(:objects stray\n)(:things"), "'stray' is declared without a type"),
    "predicate": (problem(more="(flies apple_bar_1)"), "unknown fact '\\(flies apple_bar_1\\)'"),
    "arity": (problem(more="(opened fridge_bar_1 apple_bar_1)"), "unknown fact '\\(opened fridge_bar_1"),
    "undeclared": (problem(more="(opened ghost_bar_1)"), "'ghost_bar_1', which is not among the objects"),
    "two agents": (problem(more="(atlocation agent1 loc_bar_2)"), "places 2 agents"),
    "two places": (problem(more="(receptacleatlocation fridge_bar_1 loc_bar_2)"), "at two locations"),
    "goal predicate": (problem("(flies apple_bar_1)"), "asks for '\\(flies apple_bar_1\\)'"),
    "goal name": (problem("(opened ?x)"), "names '\\?x', which is neither chosen nor declared"),
    "goal type": (problem("(exists (?x - ship) (opened ?x))"), "unknown type 'ship'"),
    "goal kind": (
        problem("(exists (?o - object) (and (objecttype ?o knifetype) (coolable ?o) (iscool ?o)))"),
        "cannot be reached: nothing is \\(coolable \\?o\\)",
    ),
    "goal depth": (problem("(not " * 80 + "(opened fridge_bar_1)" + ")" * 80), "nested more than 64 deep"),
    "goal breadth": (
        problem("(forall (?a ?b ?c ?d ?e - object) (or (opened ?a) (opened ?b) (opened ?c) (opened ?d) (opened ?e)))"),
        "among too many things",
    ),
    "goal nothing": (problem("opened"), "not one formula"),
    "goal words": (problem("(and opened closed)"), "'and' is not made of formulas"),
}


@pytest.mark.parametrize("which", DAMAGED)
def test_a_problem_that_cannot_be_played_is_refused_with_a_sentence(which):
    text, why = DAMAGED[which]
    with pytest.raises(GameUnreadable, match=why) as refused:
        Game.load(row_with(text))
    assert "\n" not in str(refused.value)


def row_with(text):
    found = row()
    return type(found)(found.id, found.task, found.task_type, found.params, found.anns, text)


def test_comments_costs_and_capitals_are_read_over():
    text = problem(APPLE_IN_SINK, more="(= (total-cost) 0) (= (distance loc_bar_1 loc_bar_2) 3) ; (opened ghost)\n")
    game = Game.load(row_with(text.upper()))
    assert Play(game).text == play().text


def test_a_damaged_problem_is_played_or_refused_and_nothing_else():
    rng, whole, refused = random.Random(11), problem(), 0
    pieces = ["(", ")", "-", "?x", "and", "object", "(:goal", "(:init", "=", "\0", "not", "exists", "apple_bar_1", " "]
    for _ in range(400):
        text = whole
        for _ in range(rng.choice((1, 1, 2, 5))):
            at = rng.choice((rng.randrange(len(text)), max(0, len(text) - rng.randrange(1, 160))))
            text = text[:at] + rng.choice(pieces) + text[at + rng.choice((0, 1, 3, 12)) :]
        try:
            playing = Play(Game.load(row_with(text)))
        except GameUnreadable:
            refused += 1
            continue
        for _ in range(5):
            playing.step(rng.choice(playing.admissible()))
    assert 50 < refused < 400

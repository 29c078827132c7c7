"""Derives `rooms.json.xz` from the package alfworld 0.4.2: `python -m envserver.envs._alfworld.derive` writes it anew.

Its `gen/layouts` give each room's furniture with poses and the kinds of things in it, `gen/constants.py` what fits
where. Furniture that the layouts name without a pose (bins, burners, toasters, ...) gets one of the room's poses, drawn
by the room's number: that is ours, and the same in every game of the room.
"""

from __future__ import annotations

import json
import lzma
import random
from importlib import resources
from pathlib import Path
from typing import Any

from envserver.envs._alfworld.rooms import FILE_NAME

__all__ = ["derive"]

PICKUPABLE = (  # noqa: SIM905  (a list would be 60 lines)
    "AlarmClock Apple BaseballBat BasketBall Book Boots Bowl Box Bread ButterKnife CD Candle CellPhone Cloth "
    "CreditCard Cup DishSponge Egg Fork Glassbottle HandTowel Kettle KeyChain Knife Ladle Laptop Lettuce Mug "
    "Newspaper Pan PaperTowelRoll Pen Pencil PepperShaker Pillow Plate Plunger Pot Potato RemoteControl "
    "SaltShaker ScrubBrush SoapBar SoapBottle Spatula Spoon SprayBottle Statue TeddyBear TennisRacket TissueBox "
    "ToiletPaper Tomato Towel Vase Watch WateringCan WineBottle"
).split()
LAMPS = ("DeskLamp", "FloorLamp")
BURNERS = 4


def derive() -> dict[str, Any]:
    """The table, out of the installed package."""
    from alfworld.gen import constants

    movable = set(constants.MOVABLE_RECEPTACLES)
    fixed = sorted(set(constants.RECEPTACLES) - movable)
    layouts = resources.files("alfworld") / "gen" / "layouts"
    found = {}
    for number in sorted(constants.SCENE_NUMBERS):
        kinds = set(json.loads((layouts / f"FloorPlan{number}-objects.json").read_text()))
        poses = json.loads((layouts / f"FloorPlan{number}-openable.json").read_text())
        found[str(number)] = {
            "receptacles": _receptacles(number, sorted(kinds & set(fixed)), poses, fixed),
            "things": sorted(kinds & {*PICKUPABLE, *LAMPS}),
        }
    holds = constants.VAL_RECEPTACLE_OBJECTS
    can = {
        name.lower(): sorted(set(kinds) & constants.OBJECTS_SET) for name, kinds in constants.VAL_ACTION_OBJECTS.items()
    }
    return {
        "rooms": found,
        "holds": {kind: sorted(set(holds.get(kind, ())) & {*PICKUPABLE}) for kind in fixed},
        "can": {**can, "pickupable": PICKUPABLE},
        "openable": sorted(constants.OPENABLE_CLASS_SET - movable),
        "containers": sorted(movable),
        "receptacle_kinds": fixed,
        "object_kinds": sorted(constants.OBJECTS_SET - set(fixed)),
    }


def _receptacles(number: int, named: list[str], poses: dict[str, list[float]], fixed: list[str]) -> list[list[Any]]:
    """`[id, kind, pose]` of each receptacle, sorted by id."""
    rows = []
    for name, pose in sorted(poses.items()):
        kind = name.split("|")[-1] if name.count("|") == 4 else name.partition("|")[0]
        if kind in fixed:
            rows.append([name, kind, _grid(pose)])
    rng = random.Random(f"room {number}")
    bases = [poses[name] for name in sorted(poses)]
    for kind in named:
        if any(row[1] == kind for row in rows):
            continue
        x, z, turn, tilt = rng.choice(bases)
        for place in range(BURNERS if kind == "StoveBurner" else 1):
            tail = f"|{kind}" if kind.endswith("Basin") else ""
            name = f"{kind.removesuffix('Basin')}|{x + 0.1 * place:+06.2f}|+00.90|{z:+06.2f}{tail}"
            rows.append([name, kind, _grid([x, z, turn, tilt])])
    return sorted(rows)


def _grid(pose: list[float]) -> list[int]:
    x, z, turn, tilt = pose
    return [round(x / 0.25), round(z / 0.25), int(turn) // 90, int(tilt)]


if __name__ == "__main__":
    text = json.dumps(derive(), separators=(",", ":"))
    Path(__file__).with_name(FILE_NAME).write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))

"""The regions of an evaluation's stages: where inputs and outputs lie, what is copied from where to where.

Each stage shares one region with the referee, laid out alike: slots of inputs and outputs. What was expected of each
slot's inputs, and the inputs themselves, are kept in the referee's own memory.
"""

from __future__ import annotations

from typing import Any

from envserver.envs._kernel.compare import Expected, difference, tensor
from envserver.envs._kernel.seat import Refused, Seat

__all__ = ["Bench"]

ALIGNED = 64
MOST_SLOTS = 8


class Bench:
    """Inputs and outputs of the reference, the candidate and whoever else is to be called on the same."""

    def __init__(self, job: dict[str, Any], reference: Seat, candidate: Seat, seed: int) -> None:
        self.job, self.reference, self.seed = job, reference, seed
        told = reference.ask("probe", job["load_s"], seed=self._seeds(1)[0])
        self.inputs, self.outputs, self.aliased = told["inputs"], told["outputs"], told["aliased"]
        one_bytes = sum(-(-part.get("size_bytes", 0) // ALIGNED) * ALIGNED for part in [*self.inputs, *self.outputs])
        if one_bytes > job["tensors_bytes"]:
            raise Refused(
                "reference", f"Inputs and outputs hold {one_bytes} bytes; this server takes {job['tensors_bytes']}."
            )
        self.count = max(1, min(MOST_SLOTS, job["tensors_bytes"] // max(1, one_bytes), (64 << 20) // max(1, one_bytes)))
        self.layout, self.size_bytes = self._laid_out()
        self.regions: dict[str, Any] = {}
        for seat in (reference, candidate):
            self._map(seat)
        self.expected: list[Expected] = []
        self.pristine: list[bytes] = []

    def fresh(self, *, twist: bool = False, count: int = 1) -> list[Expected]:
        """New inputs in `count` slots of the reference, what it makes of them, and the same inputs for the
        candidate."""
        self.make(count, twist=twist)
        slots = list(range(count))
        for slot in slots:
            self.reference.ask("call", self.job["call_s"], slot=slot)
        self.learn(slots)
        self.give("candidate")
        return self.expected

    def make(self, count: int, *, twist: bool = False) -> None:
        """New inputs in the reference's first slots; they are remembered here."""
        self.reference.ask("make", self.job["load_s"], seeds=self._seeds(count), twist=twist)
        if self.job["device"] == "cuda":
            self.reference.ask("upload", self.job["call_s"])
        region = self.regions["reference"]
        self.pristine = [region[start:end] for start, end in map(self._inputs_of, range(count))]

    def learn(self, slots: list[int]) -> None:
        """What the reference gave."""
        handed = self.handed(self.reference, slots)
        self.expected = [Expected(tuple(one), tuple(self.outputs), self._finite(one)) for one in handed]

    def give(self, name: str, seat: Seat | None = None) -> None:
        """Copy the inputs into another's region."""
        region = self.regions[name]
        for slot, data in enumerate(self.pristine):
            start, end = self._inputs_of(slot)
            region[start:end] = data
        if self.job["device"] == "cuda" and seat is not None:
            seat.ask("upload", self.job["call_s"])

    def share(self, seat: Seat) -> None:
        """Give another stage the same layout and inputs."""
        self._map(seat)
        self.give(seat.name, seat)

    def handed(self, seat: Seat, slots: list[int]) -> list[list[bytes]]:
        """Outputs of a stage, copied into this process. Raises Refused."""
        seat.ask("hand", self.job["call_s"], slots=slots, kind="runtime")
        return [[self.placed(seat, slot, at) for at in range(len(self.outputs))] for slot in slots]

    def placed(self, seat: Seat, slot: int, at: int) -> bytes:
        """One output as it lies in a stage's region."""
        place = self.layout[slot]["outputs"][at]
        found: bytes = self.regions[seat.name][place["at"] : place["at"] + place["size_bytes"]]
        return found

    def unchanged(self, seat: Seat) -> None:
        """Raises Refused where inputs are not what they were."""
        region = self.regions[seat.name]
        for slot, data in enumerate(self.pristine):
            start, end = self._inputs_of(slot)
            if region[start:end] != data:
                raise Refused("inputs_changed", "It writes to its inputs; leave them as they are.")

    def compare(self, expected: Expected, given: list[bytes]) -> None:
        """Raises Refused for outputs that are not the expected ones."""
        for at, (mine, theirs) in enumerate(zip(given, expected.outputs, strict=True)):
            kind, told = difference(mine, theirs, expected.specs[at]["dtype"], self.job["tolerances"])
            if kind:
                which = f"Output {at}: " if len(given) > 1 else ""
                raise Refused(kind, which + told)

    def close(self, expected: Expected, given: bytes, at: int) -> bool:
        """Whether one output is the expected one."""
        return not difference(given, expected.outputs[at], expected.specs[at]["dtype"], self.job["tolerances"])[0]

    def _finite(self, outputs: list[bytes]) -> bool:
        for data, spec in zip(outputs, self.outputs, strict=True):
            one = tensor(data, spec["dtype"])
            if one.is_floating_point() and not one.isfinite().all():
                return False
        return True

    def _seeds(self, count: int) -> list[int]:
        self.seed += count
        return [self.seed - at for at in range(count)]

    def _laid_out(self) -> tuple[list[dict[str, Any]], int]:
        at, slots = 0, []
        for _ in range(self.count):
            slot: dict[str, Any] = {"single": len(self.outputs) == 1, "aliased": self.aliased, "from": at}
            for name, parts in (("inputs", self.inputs), ("outputs", self.outputs)):
                placed = []
                for part in parts:
                    if "value" in part:
                        placed.append(part)
                        continue
                    placed.append(part | {"at": at})
                    at += -(-part["size_bytes"] // ALIGNED) * ALIGNED
                slot[name] = placed
                slot.setdefault("to", at)
            slots.append(slot)
        return slots, max(at, ALIGNED)

    def _inputs_of(self, slot: int) -> tuple[int, int]:
        return self.layout[slot]["from"], self.layout[slot]["to"]

    def _map(self, seat: Seat) -> None:
        self.regions[seat.name] = seat.stage.size(self.size_bytes)
        seat.ask("map", self.job["load_s"], [seat.stage.memory], size_bytes=self.size_bytes, slots=self.layout)

"""Invented names, with neighbours: namesakes, and names that differ by a syllable, a prefix or a number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

__all__ = ["Namer"]


def _each(listed: str) -> list[str]:
    return listed.split()


GIVEN = _each(
    "Ada Aldric Alma Anselm Arlo Beata Bertil Bruno Cato Celia Conrad Dagny Dorian Edda Egon Elin Emeric Enna Fabian "
    "Frida Gerda Gideon Greta Hanno Hedda Hugo Ida Ilse Ivo Jonas Jorun Kaspar Katrin Lasse Lena Lothar Lucan Magda "
    "Marius Mathis Mira Nadia Nils Odo Olga Orla Oskar Petra Quirin Ragna Roland Runa Sidon Signe Silas Sunniva Tilda "
    "Tobias Ulla Urban Vera Viktor Wanda Wendel Xenia Yorick Zita"
)
HEADS = _each(
    "Al Ar Bal Bar Bel Ber Bor Bran Cal Car Cor Dal Dar Del Dor Dun El Er Fal Fen For Gal Gar Gor Hal Har Hel Hol Il "
    "Is Kal Kar Kel Kor Lan Lor Mal Mar Mel Mor Nal Nor Or Os Pel Per Ral Ren Ros Sal Sel Sor Tal Tar Tor Ul Val Var "
    "Vel Vor Wal Wen Wil Yar Zel Zor"
)
MIDDLES = ("", "", "a", "e", "i", "o", "an", "en", "in", "os", "ud")
FAMILY_TAILS = _each(
    "bach bert dane der dorf feld gard grim hart lund mann mark nick quist rud sen stad strand thal vik wald"
)
PLACE_TAILS = _each(
    "beck berg borough bridge by dale den fell ford gate ham haven holm hurst mere mouth ness stead ton wick"
)
RIVER_TAILS = _each("a ach ane ar e er ia in is o une y")
PLACE_PREFIXES = ("Upper ", "Lower ", "New ", "Old ", "Port ", "Great ", "Little ", "North ", "South ")
FIELDS = _each(
    "Anatomy Botany Bridges Chemistry Drawing Fine_Arts Folk_Song Geography Glass History Horology Languages Law "
    "Letters Mining Music Navigation Optics Porcelain Printing Sciences Seafaring Silk Song Stone Surveying Weaving"
)
ADJECTIVES = _each(
    "Amber Ancient Borrowed Broken Burning Crooked Distant Drowned Empty Fading Forgotten Frozen Gilded Hidden Hollow "
    "Iron Last Leaden Lonely Lost Northern Painted Patient Quiet Restless Sleeping Silent Silver Sunken Unknown "
    "Wandering White"
)
NOUNS = _each(
    "Anchor Bell Bridge Candle Clock Compass Crown Ferry Garden Harbour Harvest Heron Island Key Lamp Ladder Mirror "
    "Mountain Orchard Owl River Road Shadow Ship Stair Star Storm Thread Tower Valley Window Winter"
)
ORDINALS = _each("First Second Third Fourth Fifth Sixth Seventh Eighth Ninth Tenth Eleventh Twelfth")
NEAR = 0.3
"""Share of names that are made out of another's."""


@dataclass
class Shared:
    """Names that several things may have, each of another sort."""

    names: list[str] = field(default_factory=list)
    taken: set[tuple[str, str]] = field(default_factory=set)
    """Name and sort."""


class Namer:
    """Draws names; those of places, organisations and events are each given once."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._given: set[str] = set()
        self._people = Shared()
        self._works = Shared()
        self._places: list[str] = []
        self._series: list[str] = []

    def person(self, sort: str) -> str:
        """A name that no other person of this sort has."""
        return self._shared(self._people, sort, self._new_person)

    def work(self, sort: str) -> str:
        """A title that no other work of this sort has."""
        return self._shared(self._works, sort, self._new_work)

    def place(self, _: str = "") -> str:
        """A place's name."""
        while True:
            name = self._rng.choice(HEADS) + self._rng.choice(MIDDLES) + self._rng.choice(PLACE_TAILS)
            if self._places and self._rng.random() < NEAR:
                name = self._rng.choice(PLACE_PREFIXES) + self._rng.choice(self._places)
            if name not in self._given:
                self._given.add(name)
                if " " not in name:
                    self._places.append(name)
                return name

    def organisation(self, sort: str) -> str:
        """Such as `Marbeck Academy of Glass`; it need not be in Marbeck."""
        while True:
            branch = self._rng.choice(FIELDS).replace("_", " ")
            name = f"{self._rng.choice(self._places)} {sort.title()} of {branch}"
            if name not in self._given:
                self._given.add(name)
                return name

    def event(self, sort: str) -> str:
        """One of a series, such as `Third Marbeck Glass Congress`."""
        while True:
            if not self._series or self._rng.random() > 2 * NEAR:
                branch = self._rng.choice(FIELDS).replace("_", " ")
                self._series.append(f"{self._rng.choice(self._places)} {branch}")
            name = f"{self._rng.choice(ORDINALS)} {self._rng.choice(self._series[-50:])} {sort.title()}"
            if name not in self._given:
                self._given.add(name)
                return name

    def river(self) -> str:
        """A river's name."""
        return self._rng.choice(HEADS) + self._rng.choice(RIVER_TAILS)

    def _shared(self, known: Shared, sort: str, new: Callable[[], str]) -> str:
        """A new name or, now and then, one that something of another sort has."""
        while True:
            name = self._rng.choice(known.names) if known.names and self._rng.random() < NEAR / 2 else new()
            if (name, sort) not in known.taken:
                known.taken.add((name, sort))
                known.names.append(name)
                return name

    def _new_person(self) -> str:
        if self._people.names and self._rng.random() < NEAR:
            family = self._rng.choice(self._people.names).rpartition(" ")[2]
        else:
            family = self._rng.choice(HEADS) + self._rng.choice(MIDDLES) + self._rng.choice(FAMILY_TAILS)
        return f"{self._rng.choice(GIVEN)} {family}"

    def _new_work(self) -> str:
        adjective, noun = self._rng.choice(ADJECTIVES), self._rng.choice(NOUNS)
        form = self._rng.randrange(4)
        if form == 0:
            return f"The {adjective} {noun}"
        if form == 1:
            return f"The {noun} of {self._rng.choice(self._places)}"
        if form == 2:
            return " and ".join(self._rng.sample(NOUNS, 2))
        return f"The {adjective} {noun} of {self._rng.choice(self._places)}"

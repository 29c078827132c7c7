"""What may be said of the things of a generated corpus.

Every relation has one object a subject and is told on the subject's page alone, so "the birthplace of X" is one place,
and the page of X has to be read to know which.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["KINDS", "RELATIONS", "Relation", "of_kind"]

KINDS: Mapping[str, tuple[str, ...]] = {
    "person": (
        "astronomer", "botanist", "cartographer", "chemist", "composer", "engineer", "geologist", "historian",
        "linguist", "painter", "physician", "poet", "sculptor", "surveyor", "violinist", "zoologist",
    ),
    "place": ("fishing port", "hill town", "island town", "market town", "mining town", "spa town"),
    "organisation": ("academy", "archive", "conservatory", "institute", "museum", "orchestra", "publisher", "society"),
    "event": ("congress", "exhibition", "expedition", "festival", "regatta", "strike"),
    "work": ("ballad", "fresco", "map", "novel", "opera", "symphony", "tapestry", "treatise"),
}  # fmt: skip
"""Kind -> its sorts."""


@dataclass(frozen=True, slots=True)
class Relation:
    """One relation."""

    name: str
    subject: str
    """A kind."""
    object: str
    """A kind, or `year`, or `river`."""
    noun: str
    """The NOUN of X is the object."""
    clause: str
    """Describes the subject by the object, after its sort."""
    says: tuple[str, ...]
    """How the subject's page tells it: `{o}` is the object."""


RELATIONS: tuple[Relation, ...] = (
    Relation("birth", "person", "year", "year of birth", "born in {o}",
             ("Born in {o}.", "The year of birth is given as {o}.", "Parish books record the birth in {o}.")),
    Relation("birthplace", "person", "place", "birthplace", "who was born in {o}",
             ("The family lived in {o}, where the child was born.", "Born in {o}.", "A native of {o}.")),
    Relation("deathplace", "person", "place", "place of death", "who died in {o}",
             ("Died in {o}.", "The last years were spent in {o}, and the grave is there.", "Death came in {o}.")),
    Relation("school", "person", "organisation", "place of study", "who studied at {o}",
             ("Studied at {o}.", "Was enrolled at {o}.", "Took a degree at {o}.")),
    Relation("teacher", "person", "person", "teacher", "taught by {o}",
             ("Learned the craft from {o}.", "Was taught by {o}.", "Lessons with {o} lasted for years.")),
    Relation("portraitist", "person", "person", "portraitist", "portrayed by {o}",
             ("The only portrait is by {o}.", "Sat for {o}, who painted the known portrait.", "Was portrayed by {o}.")),
    Relation("inspiration", "person", "work", "chief inspiration", "inspired by {o}",
             ("Named {o} as the chief inspiration.", "It was {o} that decided the choice of a career.")),
    Relation("debut", "person", "event", "first public appearance", "who first appeared in public at {o}",
             ("First appeared in public at {o}.", "Was noticed for the first time at {o}.")),
    Relation("charter", "place", "year", "year of the charter", "chartered in {o}",
             ("The charter is of {o}.", "Market rights were granted in {o}.", "Received its charter in {o}.")),
    Relation("river", "place", "river", "river", "on the river {o}",
             ("It lies on the river {o}.", "The river {o} runs through it.")),
    Relation("planner", "place", "person", "planner of the rebuilding", "rebuilt to the plans of {o}",
             ("After the fire it was rebuilt to plans of {o}.", "The streets were laid out anew by {o}.")),
    Relation("hall", "place", "organisation", "owner of the town hall", "whose town hall belongs to {o}",
             ("The town hall belongs to {o}.", "Its old town hall was bought by {o}.")),
    Relation("monument", "place", "event", "occasion of the monument", "with a monument to {o}",
             ("A monument on the square recalls {o}.", "The monument by the bridge was raised for {o}.")),
    Relation("foundation", "organisation", "year", "year of foundation", "founded in {o}",
             ("Founded in {o}.", "It goes back to {o}.", "The statutes date from {o}.")),
    Relation("founder", "organisation", "person", "founder", "founded by {o}",
             ("The founder was {o}.", "It was called into being by {o}.", "Founded by {o}.")),
    Relation("director", "organisation", "person", "first director", "first directed by {o}",
             ("Its first director was {o}.", "Under its first director, {o}, it grew quickly.")),
    Relation("seat", "organisation", "place", "seat", "seated in {o}",
             ("It has its seat in {o}.", "The building stands in {o}.", "Seated in {o}.")),
    Relation("manuscript", "organisation", "work", "greatest treasure", "whose greatest treasure is {o}",
             ("Its greatest treasure is {o}.", "Visitors come to see {o}, its greatest treasure.")),
    Relation("date", "event", "year", "year", "of {o}",
             ("It took place in {o}.", "The year was {o}.", "Newspapers of {o} reported on it.")),
    Relation("venue", "event", "place", "venue", "held in {o}",
             ("It was held in {o}.", "The venue was {o}.", "Guests travelled to {o} for it.")),
    Relation("speaker", "event", "person", "opening speaker", "opened by {o}",
             ("The opening speech was given by {o}.", "It was opened by {o}.")),
    Relation("organiser", "event", "organisation", "organiser", "organised by {o}",
             ("The organiser was {o}.", "It was organised by {o}.", "Costs were borne by {o}, which organised it.")),
    Relation("prize", "event", "work", "prize-winning work", "whose prize went to {o}",
             ("The prize went to {o}.", "Of all entries {o} won the prize.")),
    Relation("completion", "work", "year", "year of completion", "completed in {o}",
             ("It was completed in {o}.", "The finished work is dated {o}.", "Completed in {o}.")),
    Relation("maker", "work", "person", "maker", "made by {o}",
             ("It is a work of {o}.", "Its maker is {o}.", "It is by {o}.")),
    Relation("subject", "work", "place", "subject", "about {o}",
             ("Its subject is {o}.", "It shows life in {o}.", "It tells of {o}.")),
    Relation("showing", "work", "event", "first showing", "first shown at {o}",
             ("It was first shown at {o}.", "The public saw it for the first time at {o}.")),
    Relation("patron", "work", "organisation", "patron", "commissioned by {o}",
             ("It was commissioned by {o}.", "The commission came from {o}.", "{o} paid for it.")),
    Relation("dedicatee", "work", "person", "dedicatee", "dedicated to {o}",
             ("It is dedicated to {o}.", "The dedication names {o}.")),
)  # fmt: skip


def of_kind(kind: str) -> tuple[Relation, ...]:
    """The relations whose subject is of this kind."""
    return tuple(relation for relation in RELATIONS if relation.subject == kind)

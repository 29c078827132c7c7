"""A thing's page: its own facts, each in a sentence, between sentences that say nothing and name others."""

from __future__ import annotations

from random import Random

from envserver.envs._search.graph import Graph, Thing, said
from envserver.envs._search.relations import of_kind

__all__ = ["page_text"]

LEADS = {
    "person": "{name} was {a} {sort}, known in the trade and seldom outside it.",
    "place": "{name} is {a} {sort}.",
    "organisation": "{name} is one of several bodies of its kind, and is easily taken for another {sort}.",
    "event": "{name} was one {sort} in a longer row, each with its own guests and its own quarrels.",
    "work": "{name} is {a} {sort}; there are others of the same title or nearly so.",
}
ASIDES = (
    "Travel books mention it in one breath with {other}, without giving a reason.",
    "A lexicon of the time puts the entry next to that of {other}.",
    "Readers sometimes write in to ask about {other}; there is no connection.",
    "The card index of the district library has a cross-reference to {other}.",
    "An article that compares this subject with {other} was announced and never printed.",
    "A later essay speaks at length of {other} and only in passing of the present subject.",
)
FILLERS = (
    "The sources are scattered and not all of them agree in spelling.",
    "Most of the papers were lost in a move.",
    "Several anecdotes are told, none of which can be traced.",
    "Interest has grown again in recent years.",
    "The entry was revised twice.",
    "Postcards with this motif are still sold.",
    "Opinions at the time were divided.",
    "A plaque was planned and forgotten.",
    "Little is known about the years between.",
    "The older literature is unreliable on this point.",
)


def page_text(world: Graph, thing: Thing, rng: Random) -> str:
    """The text under the title."""
    told = [rng.choice(relation.says).format(o=said(thing.facts[relation.name])) for relation in of_kind(thing.kind)]
    told += [aside.format(other=rng.choice(world.things).label) for aside in rng.sample(ASIDES, rng.randint(2, 3))]
    told += rng.sample(FILLERS, rng.randint(2, 4))
    rng.shuffle(told)
    article = "an" if thing.sort[0] in "aeiou" else "a"
    lead = LEADS[thing.kind].format(name=thing.name, sort=thing.sort, a=article)
    return " ".join([lead, *(sentence[0].upper() + sentence[1:] for sentence in told)])

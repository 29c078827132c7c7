"""Questions about a generated corpus, each with one answer, and the pages that lead to it.

h pages are read one after the other: "the birthplace of the teacher of Ada Berdorf" takes h = 2. At d1 the first thing
is named; at d2 it is described by two facts that are true of it alone; at d3 one of these facts names no thing but
"the venue of the Third Marbeck Glass Congress", which takes a page more. That there is one answer is checked on the
whole graph when a question is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import gcd
from random import Random

from envserver.envs._search.graph import Graph, Thing, graph, said
from envserver.envs._search.keys import SIZES, GeneratedKey, split_of
from envserver.envs._search.relations import RELATIONS, Relation

__all__ = ["Leg", "Question", "drawn", "named"]

BY_NAME = {relation.name: relation for relation in RELATIONS}
ATTEMPTS = 2000


@dataclass(frozen=True, slots=True)
class Leg:
    """A page that has to be read."""

    title: str
    queries: tuple[str, ...]
    """What finds it, by what is known when it is looked for; the best first."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question with its answer."""

    text: str
    answers: tuple[str, ...]
    """All that is right; the first is shown as gold."""
    legs: tuple[Leg, ...]
    """In the order in which they are read."""


def named(title: str) -> Leg:
    """A page whose name is known."""
    return Leg(title, (title.replace("(", "").replace(")", ""),))


def drawn(key: GeneratedKey, seed: int, corpus_seed: int, pages: int) -> Question:
    """The question of a key and a task's seed: about another fact than any other number's of its split."""
    world = graph(corpus_seed, pages)
    facts = _facts(corpus_seed, pages, key.split)
    rng = Random(f"{key}#{seed}")
    # The split's facts in an order of the seed's own, without shuffling them all.
    order = Random(f"h{key.hops}-d{key.level}/{key.split}#{seed}")
    start, stride = order.randrange(len(facts)), order.randrange(1, len(facts))
    while gcd(stride, len(facts)) != 1:
        stride += 1
    for attempt in range(ATTEMPTS):
        # A fact that nothing leads to from so far leaves its number to one that no number has.
        place = key.number + attempt // 20 * SIZES[key.split]
        last, relation = facts[(start + stride * place) % len(facts)]
        chain = _chain(last, key.hops, rng)
        question = chain and _told(world, chain, relation, key.level, rng)
        if question:
            return question
    raise RuntimeError(f"no question of {key} was found in {ATTEMPTS} draws; take a corpus of more pages")


@lru_cache(maxsize=8)
def _facts(corpus_seed: int, pages: int, split: str) -> list[tuple[Thing, Relation]]:
    """What is asked for in a split: facts of things that others lead to, with an answer that needs no sort."""
    found = []
    for thing in graph(corpus_seed, pages).things:
        for name, value in thing.facts.items():
            clear = isinstance(value, str) or not value.shared
            if thing.told_by and clear and split_of(f"{thing.label}/{name}") == split:
                found.append((thing, BY_NAME[name]))
    return found


def _chain(last: Thing, hops: int, rng: Random) -> list[tuple[Thing, str]] | None:
    """A way of so many pages that ends at `last`, each with the relation that leads there; no page comes twice."""
    chain: list[tuple[Thing, str]] = [(last, "")]
    while len(chain) < hops:
        options = [step for step in chain[0][0].told_by if all(step[0] is not there for there, _ in chain)]
        if not options:
            return None
        chain.insert(0, rng.choice(options))
    return chain


def _told(world: Graph, chain: list[tuple[Thing, str]], last: Relation, level: int, rng: Random) -> Question | None:
    """The question in words; None where its beginning cannot be described so that it is alone."""
    first = chain[0][0]
    answer = chain[-1][0].facts[last.name]
    if not isinstance(answer, str) and any(thing is answer for thing, _ in chain):
        return None
    legs = [named(thing.title) for thing, _ in chain]
    beginning = first.label
    if level > 1:
        asked = {relation for _, relation in chain[:1] if relation} or {last.name}
        described = _described(world, first, level, asked, {thing.label for thing, _ in chain} | {said(answer)}, rng)
        if described is None:
            return None
        beginning, legs[:1] = described[0], described[1]
    nouns = [BY_NAME[relation].noun for _, relation in chain[:-1]] + [last.noun]
    text = f"{'Who' if last.object == 'person' else 'What'} is the {' of the '.join(reversed(nouns))} of {beginning}?"
    return Question(text, _aliases(answer, last), tuple(legs))


def _aliases(answer: Thing | str, relation: Relation) -> tuple[str, ...]:
    """The name, and the name with what it is."""
    if isinstance(answer, str):
        return (answer,) if relation.object == "year" else (answer, f"river {answer}")
    return answer.name, f"{answer.sort} {answer.name}", f"{answer.name} ({answer.sort})"


def _described(
    world: Graph, thing: Thing, level: int, asked: set[str], avoid: set[str], rng: Random
) -> tuple[str, list[Leg]] | None:
    """Words that mean `thing` alone, and the pages to read until its own is; none of them names what is to `avoid`."""
    links = [name for name, value in thing.facts.items() if not isinstance(value, str)]
    link = rng.choice([name for name in links if name not in asked])
    other = rng.choice([name for name in thing.facts if name not in asked and name != link])
    facts = {link: said(thing.facts[link]), other: said(thing.facts[other])}
    if avoid & set(facts.values()) or world.having(thing.sort, facts) != [thing]:
        return None
    target = thing.facts[link]
    assert isinstance(target, Thing)
    shown, legs = target.label, []
    if level > 2:
        ways = [way for way in target.told_by if way[0] is not thing and way[0].label not in avoid]
        if not ways:
            return None
        through, relation = rng.choice(ways)
        shown = f"the {BY_NAME[relation].noun} of {through.label}"
        legs.append(named(through.title))
    clauses = [BY_NAME[other].clause.format(o=facts[other]), BY_NAME[link].clause.format(o=shown)]
    bare = [value if isinstance(value, str) else value.name for value in (target, thing.facts[other])]
    queries = (f"{thing.sort} {' '.join(bare)}", " ".join(bare))
    return f"the {thing.sort} {_joined(clauses)}", [*legs, Leg(thing.title, queries)]


def _joined(clauses: list[str]) -> str:
    """Such as "held in X and whose prize went to Y": what is short first, so that it reads one way."""
    ordered = sorted(clauses, key=lambda clause: (clause.startswith("who"), not clause.startswith("of ")))
    return f"{ordered[0]}{' ' if ordered[0].startswith('of ') else ' and '}{ordered[1]}"

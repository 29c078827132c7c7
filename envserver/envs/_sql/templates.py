"""Questions: a subject and a generator give a question in words and the query that answers it.

A template is a marked function; its level says how much SQL it takes. The words say which columns are wanted, in
which order, and what becomes of NULL and of ties, so that there is one answer; rows have an order where the words ask
for one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple

from envserver.envs._sql.schemas import Schema

__all__ = ["TEMPLATES", "Asked"]


class Asked(NamedTuple):
    """A question and its query."""

    words: str
    query: str
    ordered: bool = False
    """Whether the order of rows counts."""


Template = Callable[[Schema, Random], Asked]

TEMPLATES: dict[int, list[Template]] = {1: [], 2: [], 3: []}
"""Of each level."""


def _template(level: int) -> Callable[[Template], Template]:
    def put(made: Template) -> Template:
        def written(schema: Schema, rng: Random) -> Asked:
            asked = made(schema, rng)
            return asked._replace(words=re.sub(r"\ba (?=[aeiou])", "an ", asked.words))

        TEMPLATES[level].append(written)
        return made

    return put


def _day(rng: Random) -> str:
    return f"{rng.randint(2021, 2023)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"


def _deeds(s: Schema, rng: Random) -> tuple[str, str]:
    """A condition on deeds, in words and in SQL; `d` is the deed."""
    words, test = rng.choice(_conditions(s, rng))
    day, late = _day(rng), rng.random() < 0.5
    if rng.random() < 0.4:
        return words, test
    told = f"and with {s.day} {'from' if late else 'before'} {day}{' on' if late else ''}"
    return f"{words} {told}", f"{test} AND d.{s.day} {'>=' if late else '<'} '{day}'"


def _conditions(s: Schema, rng: Random) -> Sequence[tuple[str, str]]:
    state, other = rng.sample(list(s.states), 2)
    amount, score, year = rng.randint(5, 50), rng.randint(3, 8), rng.randint(2021, 2023)
    return (
        (f"whose {s.status} is '{state}'", f"d.{s.status} = '{state}'"),
        (f"whose {s.amount} is at least {amount}", f"d.{s.amount} >= {amount}"),
        (f"whose {s.score} is known and above {score}", f"d.{s.score} > {score}"),
        (f"whose {s.score} is not known (NULL)", f"d.{s.score} IS NULL"),
        (f"with {s.day} in {year}", f"d.{s.day} BETWEEN '{year}-01-01' AND '{year}-12-31'"),
        (f"whose {s.status} is not '{other}'", f"d.{s.status} <> '{other}'"),
    )


def _value(s: Schema, rng: Random) -> tuple[str, str]:
    """A number made of many deeds, in words and in SQL."""
    return rng.choice(
        (
            (f"the sum of {s.amount}", f"SUM(d.{s.amount})"),
            (f"the greatest {s.amount}", f"MAX(d.{s.amount})"),
            (f"the mean of {s.amount}", f"AVG(d.{s.amount})"),
            (f"the mean of those {s.score}s that are known", f"AVG(d.{s.score})"),
            (f"the number of known {s.score}s", f"COUNT(d.{s.score})"),
        )
    )


@_template(1)
def _count(s: Schema, rng: Random) -> Asked:
    (words, test), (more, second) = rng.sample(_conditions(s, rng), 2)
    return Asked(
        f"How many {s.deed.many} are there {words} and {more}?",
        f"SELECT COUNT(*) FROM {s.deed.name} d WHERE {test} AND {second}",
    )


@_template(1)
def _one_value(s: Schema, rng: Random) -> Asked:
    (words, test), (asked, made) = rng.choice(_conditions(s, rng)), _value(s, rng)
    day = _day(rng)
    return Asked(
        f"Of the {s.deed.many} {words} with {s.day} from {day} on: give {asked}.",
        f"SELECT {made} FROM {s.deed.name} d WHERE {test} AND d.{s.day} >= '{day}'",
    )


@_template(1)
def _listed(s: Schema, rng: Random) -> Asked:
    place, day = rng.choice(s.places), _day(rng)
    order, words = rng.choice((("ASC", "earliest"), ("DESC", "latest")))
    return Asked(
        f"List the {s.who.many} whose {s.place} is '{place}' and whose {s.since} is after {day}, by {s.since}, {words} "
        f"first, then by id. Give id, name and {s.since}.",
        f"SELECT id, name, {s.since} FROM {s.who.name} WHERE {s.place} = '{place}' AND {s.since} > '{day}' "
        f"ORDER BY {s.since} {order}, id",
        ordered=True,
    )


@_template(1)
def _top(s: Schema, rng: Random) -> Asked:
    kind, k, least = rng.choice(s.kinds), rng.randint(2, 4), rng.randint(6, 120)
    order, words = rng.choice((("DESC", "greatest"), ("ASC", "least")))
    return Asked(
        f"Which {k} {s.what.many} outside the {s.kind} '{kind}' and of a {s.size} of at least {least} have the {words} "
        f"{s.price}? Give name and {s.price}, {words} first, by id where they are the same.",
        f"SELECT name, {s.price} FROM {s.what.name} WHERE {s.kind} <> '{kind}' AND {s.size} >= {least} "
        f"ORDER BY {s.price} {order}, id LIMIT {k}",
        ordered=True,
    )


@_template(1)
def _per_state(s: Schema, rng: Random) -> Asked:
    (words, test), (asked, made) = rng.choice(_conditions(s, rng)), _value(s, rng)
    day = _day(rng)
    return Asked(
        f"Of the {s.deed.many} {words} with {s.day} before {day}: for each {s.status} that there is among them, give "
        f"the "
        f"{s.status}, how many there are, and {asked} (NULL where there is none).",
        f"SELECT d.{s.status}, COUNT(*), {made} FROM {s.deed.name} d WHERE {test} AND d.{s.day} < '{day}' "
        f"GROUP BY d.{s.status}",
    )


@_template(2)
def _per_place(s: Schema, rng: Random) -> Asked:
    (words, test), (asked, made) = _deeds(s, rng), _value(s, rng)
    kind = rng.choice(s.kinds)
    return Asked(
        f"Take the {s.deed.many} {words} that go with a {s.what.one} of the {s.kind} '{kind}'. For each {s.place} of "
        f"the {s.who.many} they belong to, give the {s.place} and {asked}; leave out a {s.place} without any of them.",
        f"SELECT w.{s.place}, {made} FROM {s.deed.name} d JOIN {s.who.name} w ON w.id = d.{s.who_id} "
        f"JOIN {s.what.name} t ON t.id = d.{s.what_id} WHERE {test} AND t.{s.kind} = '{kind}' GROUP BY w.{s.place}",
    )


@_template(2)
def _having(s: Schema, rng: Random) -> Asked:
    words, test = _deeds(s, rng)
    least = rng.randint(2, 5)
    return Asked(
        f"Which {s.who.many} have at least {least} {s.deed.many} {words}? Give id, name and how many, most first, "
        f"then by "
        f"id.",
        f"SELECT w.id, w.name, COUNT(*) FROM {s.who.name} w JOIN {s.deed.name} d ON d.{s.who_id} = w.id WHERE {test} "
        f"GROUP BY w.id, w.name HAVING COUNT(*) >= {least} ORDER BY COUNT(*) DESC, w.id",
        ordered=True,
    )


@_template(2)
def _months(s: Schema, rng: Random) -> Asked:
    asked, made = _value(s, rng)
    year, place = rng.randint(2021, 2023), rng.choice(s.places)
    return Asked(
        f"For each month of {year} in which {s.who.many} of the {s.place} '{place}' have {s.deed.many} (by {s.day}), "
        f"give "
        f"the month as YYYY-MM, how many, and {asked} (NULL where there is none), in the order of months.",
        f"SELECT strftime('%Y-%m', d.{s.day}) m, COUNT(*), {made} FROM {s.deed.name} d JOIN {s.who.name} w "
        f"ON w.id = d.{s.who_id} WHERE w.{s.place} = '{place}' AND strftime('%Y', d.{s.day}) = '{year}' "
        f"GROUP BY m ORDER BY m",
        ordered=True,
    )


@_template(2)
def _zeros(s: Schema, rng: Random) -> Asked:
    words, test = _deeds(s, rng)
    kind = rng.choice(s.kinds)
    return Asked(
        f"For each {s.what.one} of the {s.kind} '{kind}', also those without any, give its id and how many "
        f"{s.deed.many} "
        f"{words} it has.",
        f"SELECT t.id, COUNT(d.id) FROM {s.what.name} t LEFT JOIN {s.deed.name} d ON d.{s.what_id} = t.id AND {test} "
        f"WHERE t.{s.kind} = '{kind}' GROUP BY t.id",
    )


@_template(2)
def _costs(s: Schema, rng: Random) -> Asked:
    cause, (words, test) = rng.choice(s.causes), _deeds(s, rng)
    return Asked(
        f"What is the sum of {s.cost} of the {s.extra.many} with the {s.cause} '{cause}' that hang on {s.deed.many} "
        f"{words}, for each {s.kind} of the {s.what.many} these go with? Give {s.kind} and sum; leave out what has "
        f"none.",
        f"SELECT t.{s.kind}, SUM(e.{s.cost}) FROM {s.extra.name} e JOIN {s.deed.name} d ON d.id = e.{s.deed_id} "
        f"JOIN {s.what.name} t ON t.id = d.{s.what_id} WHERE e.{s.cause} = '{cause}' AND {test} GROUP BY t.{s.kind}",
    )


@_template(2)
def _worth(s: Schema, rng: Random) -> Asked:
    (words, test), k = _deeds(s, rng), rng.randint(2, 5)
    return Asked(
        f"A {s.deed.one} is worth its {s.amount} times the {s.price} of its {s.what.one}. Which {k} {s.who.many} have "
        f"the "
        f"{s.deed.many} {words} that are worth most in all? Give name and worth, most first, by id where it is the "
        f"same.",
        f"SELECT w.name, SUM(d.{s.amount} * t.{s.price}) v FROM {s.deed.name} d JOIN {s.who.name} w "
        f"ON w.id = d.{s.who_id} JOIN {s.what.name} t ON t.id = d.{s.what_id} WHERE {test} GROUP BY w.id "
        f"ORDER BY v DESC, w.id LIMIT {k}",
        ordered=True,
    )


@_template(3)
def _above_mean(s: Schema, rng: Random) -> Asked:
    (words, test), k = _deeds(s, rng), rng.randint(1, 3)
    return Asked(
        f"Which {s.what.many} have a {s.price} above the mean {s.price} of their own {s.kind} and at least {k} "
        f"{s.deed.many} {words}? Give id and name.",
        f"SELECT t.id, t.name FROM {s.what.name} t WHERE t.{s.price} > (SELECT AVG(o.{s.price}) FROM {s.what.name} o "
        f"WHERE o.{s.kind} = t.{s.kind}) AND (SELECT COUNT(*) FROM {s.deed.name} d WHERE d.{s.what_id} = t.id "
        f"AND {test}) >= {k}",
    )


@_template(3)
def _never(s: Schema, rng: Random) -> Asked:
    (words, test), kind, day = _deeds(s, rng), rng.choice(s.kinds), _day(rng)
    return Asked(
        f"Which {s.who.many} with {s.since} before {day} have no {s.deed.one} {words} that goes with a {s.what.one} "
        f"of the "
        f"{s.kind} '{kind}'? Give id and name.",
        f"SELECT w.id, w.name FROM {s.who.name} w WHERE w.{s.since} < '{day}' AND NOT EXISTS (SELECT 1 "
        f"FROM {s.deed.name} d JOIN {s.what.name} t ON t.id = d.{s.what_id} WHERE d.{s.who_id} = w.id "
        f"AND t.{s.kind} = '{kind}' AND {test})",
    )


@_template(3)
def _sets(s: Schema, rng: Random) -> Asked:
    one, other = rng.sample(list(s.kinds), 2)
    (words, test) = _deeds(s, rng)
    told, operation = rng.choice(
        (
            (f"'{one}' and also one of '{other}'", "INTERSECT"),
            (f"'{one}' but none of '{other}'", "EXCEPT"),
        )
    )
    part = (
        f"SELECT d.{s.who_id} FROM {s.deed.name} d JOIN {s.what.name} t ON t.id = d.{s.what_id} "
        f"WHERE {test} AND t.{s.kind} = "
    )
    return Asked(
        f"Look at the {s.deed.many} {words} only. Which {s.who.many} have one that goes with a {s.what.one} of the "
        f"{s.kind} {told}? Give their ids.",
        f"{part}'{one}' {operation} {part}'{other}'",
    )


@_template(3)
def _best_of_each(s: Schema, rng: Random) -> Asked:
    words, test = _deeds(s, rng)
    k = rng.randint(1, 3)
    return Asked(
        f"Count for each {s.who.one} the {s.deed.many} {words}. For each {s.place}, give the {k} {s.who.many} with "
        f"most of "
        f"them (at least one; by id where they have as many): {s.place}, name and number.",
        f"SELECT p, n, c FROM (SELECT w.{s.place} p, w.name n, COUNT(*) c, ROW_NUMBER() OVER (PARTITION BY w.{s.place} "
        f"ORDER BY COUNT(*) DESC, w.id) r FROM {s.who.name} w JOIN {s.deed.name} d ON d.{s.who_id} = w.id "
        f"WHERE {test} GROUP BY w.id) WHERE r <= {k}",
    )


@_template(3)
def _running(s: Schema, rng: Random) -> Asked:
    (words, test), kind = _deeds(s, rng), rng.choice(s.kinds)
    return Asked(
        f"Take the {s.deed.many} {words} that go with a {s.what.one} of the {s.kind} '{kind}', by {s.day}, then by "
        f"id. Give "
        f"of each, in this order, its id and the sum of {s.amount} of all up to it, itself included.",
        f"SELECT d.id, SUM(d.{s.amount}) OVER (ORDER BY d.{s.day}, d.id) FROM {s.deed.name} d JOIN {s.what.name} t "
        f"ON t.id = d.{s.what_id} WHERE {test} AND t.{s.kind} = '{kind}' ORDER BY d.{s.day}, d.id",
        ordered=True,
    )


@_template(3)
def _gaps(s: Schema, rng: Random) -> Asked:
    place, k = rng.choice(s.places), rng.randint(60, 240)
    words, test = _deeds(s, rng)
    return Asked(
        f"Look at the {s.deed.many} {words} of {s.who.many} of the {s.place} '{place}'. For each {s.who.one} of whom "
        f"two "
        f"that follow each other by {s.day} lie more than {k} days apart, give the id and the longest such gap in "
        f"days.",
        f"SELECT i, MAX(g) FROM (SELECT d.{s.who_id} i, julianday(d.{s.day}) - julianday(LAG(d.{s.day}) OVER "
        f"(PARTITION BY d.{s.who_id} ORDER BY d.{s.day}, d.id)) g FROM {s.deed.name} d JOIN {s.who.name} w "
        f"ON w.id = d.{s.who_id} WHERE w.{s.place} = '{place}' AND {test}) WHERE g > {k} GROUP BY i",
    )


@_template(3)
def _share(s: Schema, rng: Random) -> Asked:
    (words, test), state = _deeds(s, rng), rng.choice(s.states)
    return Asked(
        f"For each {s.kind} of {s.what.many}, give the {s.kind} and the share (0 to 1) that {s.deed.many} {words} "
        f"have in "
        f"all {s.deed.many} of that {s.kind} whose {s.status} is not '{state}'; leave out a {s.kind} without any of "
        f"these.",
        f"SELECT t.{s.kind}, AVG(CASE WHEN {test} THEN 1.0 ELSE 0 END) FROM {s.deed.name} d JOIN {s.what.name} t "
        f"ON t.id = d.{s.what_id} WHERE d.{s.status} <> '{state}' GROUP BY t.{s.kind}",
    )


@_template(3)
def _both_sums(s: Schema, rng: Random) -> Asked:
    words, test = _deeds(s, rng)
    day = _day(rng)
    return Asked(
        f"For each {s.who.one} with {s.since} from {day} on, also those without any, give the id, the sum of "
        f"{s.amount} of "
        f"the {s.deed.many} {words}, and the sum of {s.cost} of the {s.extra.many} that hang on these; 0 where there "
        f"is none.",
        f"SELECT w.id, COALESCE(a.v, 0), COALESCE(b.v, 0) FROM {s.who.name} w LEFT JOIN (SELECT d.{s.who_id} i, "
        f"SUM(d.{s.amount}) v FROM {s.deed.name} d WHERE {test} GROUP BY i) a ON a.i = w.id LEFT JOIN (SELECT "
        f"d.{s.who_id} i, SUM(e.{s.cost}) v FROM {s.extra.name} e JOIN {s.deed.name} d ON d.id = e.{s.deed_id} "
        f"WHERE {test} GROUP BY i) b ON b.i = w.id WHERE w.{s.since} >= '{day}'",
    )

"""Values that are kept for a while."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from envserver.envs._repo.project import Check, Family

__all__ = ["Cache"]


class Cache(Family):
    """A bounded, a timed and a layered cache."""

    names = {
        "cache": ("cache", "keepsake", "memo", "kept"),
        "Bounded": ("Bounded", "Recent", "LeastUsed"),
        "bounded": ("bounded", "recent", "least_used"),
        "Timed": ("Timed", "Expiring", "Perishable"),
        "timed": ("timed", "expiring", "perishable"),
        "Layers": ("Layers", "TwoLevel", "Tiers"),
        "layers": ("layers", "two_level", "tiers"),
        "peek": ("peek", "look", "glance"),
        "sweep": ("sweep", "purge", "clean"),
        "resize": ("resize", "set_size", "limit_to"),
        "rate": ("rate", "hit_rate", "success_rate"),
    }
    constants = {"SIZE": (3, 4, 5), "LIFE": (8, 10, 12, 20)}

    def checks(self, rng: Random, constants: Mapping[str, Any]) -> Iterator[Check]:
        size, life = constants["SIZE"], constants["LIFE"]
        k = [f"k{number}" for number in rng.sample(range(10, 99), 8)]
        v = [rng.randint(1, 99) for _ in range(8)]
        fill = "c = Bounded(3)\n" + "".join(f'c.put("{k[at]}", {v[at]})\n' for at in range(3))
        yield Check(
            "bounded",
            "as many values are kept as the README says",
            f"c = Bounded()\n[c.put(n, n) for n in range({size + 2})]",
        )
        yield Check(
            "bounded",
            "the value that was not used for longest goes first",
            f'{fill}c.get("{k[0]}")\n(c.put("{k[3]}", 1), c.keys())',
        )
        yield Check(
            "bounded",
            "putting a key again is a use and drops nothing",
            f'{fill}(c.put("{k[0]}", {v[4]}), c.keys(), c.peek("{k[0]}"))',
        )
        yield Check(
            "bounded",
            "looking with `peek` is no use and is not counted",
            f'{fill}c.peek("{k[0]}")\n(c.put("{k[3]}", 1), c.hits, c.misses)',
        )
        yield Check(
            "bounded",
            "`get` gives the value, or the default",
            f'{fill}[c.get("{k[1]}"), c.get("{k[4]}"), c.get("{k[4]}", {v[5]})]',
        )
        yield Check(
            "bounded",
            "a value that is false is kept, too",
            f'c = Bounded(2)\nc.put("{k[0]}", 0)\n(c.get("{k[0]}", 5), c.hits)',
        )
        yield Check(
            "bounded",
            "hits and misses are counted",
            f'{fill}[c.get("{k[0]}"), c.get("{k[0]}"), c.get("{k[5]}")]\n(c.hits, c.misses, c.rate())',
        )
        yield Check("bounded", "the rate of no gets is 0", f"{fill}c.rate()")
        yield Check(
            "bounded",
            "the rate is rounded down",
            f'{fill}[c.get("{k[0]}"), c.get("{k[5]}"), c.get("{k[6]}")]\nc.rate()',
        )
        yield Check(
            "bounded", "a smaller size drops the longest unused", f'{fill}c.get("{k[0]}")\n(c.resize(2), c.keys())'
        )
        yield Check(
            "bounded",
            "a larger size drops nothing and holds more",
            f'{fill}(c.resize(4), c.put("{k[3]}", 1), c.put("{k[4]}", 1), len(c.keys()))',
        )
        yield Check("bounded", "a cache of no values raises ValueError", "Bounded(0)")
        yield Check("bounded", "resizing to no values raises ValueError", f"{fill}c.resize(0)")
        yield Check(
            "bounded",
            "a cache of one value holds one",
            f'c = Bounded(1)\nc.put("{k[0]}", 1)\n(c.put("{k[1]}", 2), c.keys())',
        )
        yield Check(
            "bounded",
            "`remove` says whether there was a value",
            f'{fill}(c.remove("{k[1]}"), c.remove("{k[1]}"), c.keys())',
        )
        yield Check("bounded", "changing the list of keys changes nothing", f"{fill}c.keys().clear()\nlen(c.keys())")
        t = rng.randint(100, 200)
        timed = f't = Timed()\nt.put("{k[0]}", {v[0]}, {t})\n'
        yield Check(
            "timed",
            "a value is good until its life is over",
            f'{timed}[t.get("{k[0]}", {t + life - 1}), t.get("{k[0]}", {t + life}), len(t)]',
        )
        yield Check(
            "timed",
            "a value may have a life of its own",
            f'{timed}t.put("{k[1]}", {v[1]}, {t}, life={life + 5})\n[t.get("{k[1]}", {t + life + 4}), t.get("{k[1]}", {t + life + 5}, "gone")]',
        )
        yield Check(
            "timed",
            "a life of nothing is over at once",
            f'{timed}t.put("{k[1]}", {v[1]}, {t}, life=0)\nt.get("{k[1]}", {t})',
        )
        yield Check(
            "timed",
            "a value that is read does not live longer by itself",
            f'{timed}t.get("{k[0]}", {t + life - 2})\nt.get("{k[0]}", {t + life + 1})',
        )
        yield Check(
            "timed",
            "with refresh a value that is read lives on",
            f't = Timed(life=6, refresh=True)\nt.put("{k[0]}", {v[0]}, {t})\n[t.get("{k[0]}", {t + 5}), t.get("{k[0]}", {t + 10}), t.get("{k[0]}", {t + 16})]',
        )
        yield Check(
            "timed",
            "what is left of a life is told, and never below 0",
            f'{timed}[t.left("{k[0]}", {t + 3}), t.left("{k[0]}", {t + life + 3}), t.left("{k[1]}", {t})]',
        )
        many = f't = Timed(life=5)\nt.put("{k[0]}", 1, {t})\nt.put("{k[1]}", 2, {t + 2})\nt.put("{k[2]}", 3, {t + 4})\n'
        yield Check(
            "timed",
            "`sweep` forgets what has ended and counts it",
            f'{many}(t.sweep({t + 7}), len(t), t.get("{k[2]}", {t + 8}))',
        )
        yield Check("timed", "`sweep` forgets nothing that is good", f"{many}(t.sweep({t + 4}), len(t))")
        yield Check("timed", "the next end is the earliest", f"{many}t.next_end()")
        yield Check("timed", "nothing ends where there is nothing", "Timed().next_end()")
        yield Check("timed", "a default stands for what is not there", f'{timed}t.get("{k[4]}", {t}, {v[4]})')
        make = "log = []\ndef make(key):\n    log.append(key)\n    return key * 2\nl = Layers(make, near=1, far=3)\n"
        yield Check("layers", "a value is made once and kept", f'{make}(l.get("{k[0]}"), l.get("{k[0]}"), log, l.made)')
        yield Check(
            "layers",
            "what the far cache has is not made again",
            f'{make}[l.get(key) for key in ("{k[0]}", "{k[1]}", "{k[0]}")]\n(log, l.near.keys(), l.far.hits)',
        )
        yield Check(
            "layers",
            "what is made is in both caches",
            f'{make}l.get("{k[0]}")\n(l.near.peek("{k[0]}"), l.far.peek("{k[0]}"))',
        )
        yield Check(
            "layers",
            "a dropped key is made again",
            f'{make}l.get("{k[0]}")\n(l.drop("{k[0]}"), l.get("{k[0]}"), len(log))',
        )
        yield Check(
            "layers",
            "dropping says whether any cache had the key",
            f'{make}l.get("{k[0]}")\nl.get("{k[1]}")\n(l.drop("{k[0]}"), l.drop("{k[0]}"), l.drop("{k[1]}"), l.near.keys(), l.far.keys())',
        )
        yield Check(
            "layers",
            "`warm` counts what had to be made",
            f'{make}l.get("{k[0]}")\n(l.warm(["{k[0]}", "{k[1]}", "{k[2]}"]), l.warm(["{k[1]}"]))',
        )
        yield Check(
            "layers",
            "two values are near and six are far unless told otherwise",
            "l = Layers(lambda key: key)\nl.warm(range(9))\n(l.near.keys(), l.far.keys())",
        )

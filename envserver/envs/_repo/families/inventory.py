"""Stock of a warehouse and the orders that wait for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from envserver.envs._repo.project import Check, Family

__all__ = ["Inventory"]

PARTS = ("bolt", "nut", "gear", "axle", "lamp", "wire", "fuse", "valve")


class Inventory(Family):
    """A stock, an order book, reports."""

    names = {
        "inventory": ("inventory", "stockroom", "depot", "warehouse"),
        "Stock": ("Stock", "Shelf", "Store", "Bins"),
        "stock": ("stock", "shelf", "store", "bins"),
        "OrderBook": ("OrderBook", "Backlog", "Requests"),
        "orders": ("orders", "backlog", "requests"),
        "OutOfStock": ("OutOfStock", "NotEnough", "TooFew"),
        "take": ("take", "withdraw", "draw"),
        "held": ("held", "on_hand", "available"),
        "shortage": ("shortage", "missing_units", "deficit"),
        "part": ("part", "article", "item"),
    }
    constants = {"CAPACITY": (80, 100, 120, 150), "RUSH_FEE": (3, 5, 7, 9)}

    def checks(self, rng: Random, constants: Mapping[str, Any]) -> Iterator[Check]:
        a, b, c = rng.sample(PARTS, 3)
        capacity = constants["CAPACITY"]
        for _ in range(2):
            n, m = rng.randint(5, 30), rng.randint(1, 4)
            yield Check(
                "stock",
                "units that are added twice add up",
                f's = Stock()\ns.add("{a}", {n})\ns.add("{a}", {m})\ns.held("{a}")',
            )
            yield Check(
                "stock",
                "`take` returns what is left",
                f's = Stock()\ns.add("{a}", {n})\n(s.take("{a}", {m}), s.held("{a}"))',
            )
        yield Check(
            "stock",
            "`add` puts in one unit where no number is given",
            f's = Stock()\n(s.add("{b}"), s.held("{b}"), s.add("{b}"), s.total())',
        )
        yield Check(
            "stock", "`take` takes one unit where no number is given", f's = Stock()\ns.add("{b}", 4)\ns.take("{b}")'
        )
        yield Check(
            "stock",
            "a new one holds as many units as the README says",
            f's = Stock()\n(s.add("{a}", {capacity + 7}), s.add("{b}", 1), s.total())',
        )
        room = rng.randint(6, 12)
        yield Check(
            "stock",
            "`add` returns how many found room",
            f's = Stock({room})\n(s.add("{a}", {room - 2}), s.add("{b}", 5), s.add("{c}", 1))',
        )
        yield Check(
            "stock",
            "a part that found no room is not listed",
            f's = Stock({room})\ns.add("{a}", {room})\ns.add("{b}", 2)\ns.snapshot()',
        )
        yield Check("stock", "a negative number of units is refused with a ValueError", f'Stock().add("{a}", -1)')
        yield Check(
            "stock", "adding no units is allowed and lists nothing", f's = Stock()\n(s.add("{a}", 0), s.snapshot())'
        )
        n = rng.randint(3, 9)
        yield Check(
            "stock",
            "taking more than there is raises OutOfStock",
            f's = Stock()\ns.add("{a}", {n})\ns.take("{a}", {n + 1})',
        )
        yield Check(
            "stock",
            "all units of a part can be taken, and it is forgotten then",
            f's = Stock()\ns.add("{a}", {n})\n(s.take("{a}", {n}), s.snapshot())',
        )
        yield Check("stock", "an unknown part is held zero times", f's = Stock()\ns.add("{a}", {n})\ns.held("{b}")')
        yield Check(
            "stock",
            "`low` lists parts below the limit, fewest first",
            f's = Stock()\ns.add("{a}", {n})\ns.add("{b}", {n - 1})\ns.add("{c}", {n + 4})\ns.low({n + 1})',
        )
        yield Check(
            "stock",
            "a part at the limit is not low",
            f's = Stock()\ns.add("{a}", {n})\ns.add("{b}", {n - 2})\ns.low({n})',
        )
        yield Check(
            "stock",
            "changing a snapshot changes no stock",
            f's = Stock()\ns.add("{a}", {n})\nseen = s.snapshot()\nseen["{a}"] = 99\nseen["{b}"] = 1\n(s.held("{a}"), s.total())',
        )
        yield Check(
            "stock",
            "`merge` moves what fits and leaves the rest",
            f's, t = Stock({room}), Stock()\ns.add("{a}", {room - 3})\nt.add("{b}", 5)\ns.merge(t)\n(s.snapshot(), t.snapshot())',
        )
        yield Check(
            "stock",
            "`merge` empties the other one where all fits",
            f's, t = Stock(), Stock()\nt.add("{a}", {n})\nt.add("{b}", 2)\ns.merge(t)\n(s.snapshot(), t.snapshot())',
        )
        u, v, w = rng.randint(2, 5), rng.randint(2, 5), rng.randint(6, 9)
        book = f'o = OrderBook()\no.place("{a}", {u})\no.place("{b}", {v}, rush=True)\no.place("{a}", {w})\n'
        yield Check(
            "orders",
            "orders are numbered from 1",
            f'o = OrderBook()\n[o.place("{a}", 1), o.place("{b}", {v}), o.place("{a}", 2)]',
        )
        yield Check("orders", "rush orders are served first, then the older ones", f"{book}o.pending()")
        yield Check(
            "orders", "of two rush orders the older is served first", f'{book}o.place("{c}", 1, rush=True)\no.pending()'
        )
        yield Check("orders", "an order for no unit is refused with a ValueError", f'OrderBook().place("{a}", 0)')
        yield Check("orders", "a cancelled order waits no more", f"{book}(o.cancel(1), o.pending())")
        yield Check("orders", "cancelling what is not there says False", f"{book}(o.cancel(9), o.pending())")
        yield Check("orders", "`demand` adds up the units of a part", f"{book}o.demand()")
        yield Check(
            "orders",
            "`fill` serves what can be served whole and goes on behind what cannot",
            f'{book}s = Stock()\ns.add("{a}", {w})\ns.add("{b}", {v - 1})\n(o.fill(s), o.pending(), s.snapshot())',
        )
        yield Check(
            "orders",
            "`fill` serves all where there is enough",
            f'{book}s = Stock()\ns.add("{a}", {u + w})\ns.add("{b}", {v + 1})\n(o.fill(s), o.pending(), s.total())',
        )
        price = rng.randint(2, 9)
        yield Check("orders", "a rush order costs its fee once, on top of its units", f"{book}o.fee({price})")
        yield Check(
            "orders",
            "orders that are no rush cost their units alone",
            f'o = OrderBook()\no.place("{a}", {u})\no.place("{b}", {v})\no.fee({price})',
        )
        held = f's = Stock()\ns.add("{a}", {n})\ns.add("{b}", {n + 11})\n'
        yield Check(
            "report", "a table has a line a part by name, padded to its width", f"{held}table(s, {rng.randint(8, 10)})"
        )
        yield Check(
            "report",
            "a name that is too long is cut to the width and marked",
            's = Stock()\ns.add("thermostat", 3)\ntable(s, 6)',
        )
        yield Check(
            "report", "a name as long as the width is not cut", f's = Stock()\ns.add("{a}", {n})\ntable(s, {len(a)})'
        )
        yield Check("report", "stock is worth the price of each unit", f'{held}priced(s, {{"{a}": {price}, "{b}": 2}})')
        yield Check(
            "report",
            "a part without a price counts with the default",
            f'{held}(priced(s, {{"{a}": {price}}}), priced(s, {{"{a}": {price}}}, 3))',
        )
        yield Check(
            "report",
            "`shortage` tells how many units are missing of what is short",
            f'{book}s = Stock()\ns.add("{a}", {u + w - 2})\ns.add("{b}", {v})\nshortage(s, o)',
        )
        yield Check(
            "report",
            "nothing is short where there is just enough",
            f'{book}s = Stock()\ns.add("{a}", {u + w})\ns.add("{b}", {v + 3})\nshortage(s, o)',
        )

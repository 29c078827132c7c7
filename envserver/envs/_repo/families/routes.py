"""Places, roads between them, and the ways to go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from envserver.envs._repo.project import Check, Family

__all__ = ["Routes"]


class Routes(Family):
    """A network and plans on it."""

    names = {
        "routes": ("routes", "roadmap", "transit", "wayfinder"),
        "Network": ("Network", "RoadMap", "Graph"),
        "network": ("network", "roadmap_model", "graph"),
        "plan": ("plan", "paths", "search_ways"),
        "NoSuchPlace": ("NoSuchPlace", "UnknownPlace", "MissingNode"),
        "connect": ("connect", "link", "add_road"),
        "hops": ("hops", "steps_between", "fewest_roads"),
        "cheapest": ("cheapest", "best_way", "shortest"),
        "reachable": ("reachable", "within", "in_range"),
        "neighbours": ("neighbours", "adjacent", "roads_from"),
        "tour_cost": ("tour_cost", "round_cost", "trip_cost"),
        "TOLL": ("TOLL", "TOLL_FACTOR"),
    }
    constants = {"TOLL": (2, 3, 4)}

    def checks(self, rng: Random, constants: Mapping[str, Any]) -> Iterator[Check]:
        a, b, c, d, e = rng.sample(("ash", "birch", "cedar", "elm", "fir", "holly", "oak", "pine"), 5)
        x, y, z = (rng.randint(2, 9) for _ in range(3))
        net = f'n = Network()\nn.connect("{a}", "{b}", {x})\nn.connect("{b}", "{c}", {y})\nn.connect("{a}", "{c}", {x + y + z})\nn.connect("{c}", "{d}", {z})\n'
        yield Check(
            "network",
            "a road has length 1 and goes both ways unless told otherwise",
            f'n = Network()\nn.connect("{a}", "{b}")\n(n.neighbours("{a}"), n.neighbours("{b}"))',
        )
        yield Check(
            "network",
            "a one-way road leads one way",
            f'n = Network()\nn.connect("{a}", "{b}", {x}, both=False)\n(n.neighbours("{a}"), n.neighbours("{b}"))',
        )
        yield Check(
            "network",
            "a toll road costs as much more as the README says",
            f'n = Network()\nn.connect("{a}", "{b}", {x}, toll=True)\nn.neighbours("{b}")',
        )
        yield Check(
            "network",
            "of two roads the cheaper one counts",
            f'n = Network()\nn.connect("{a}", "{b}", {x})\nn.connect("{a}", "{b}", {x + z})\nn.neighbours("{a}")',
        )
        yield Check(
            "network",
            "a cheaper road takes the place of one that is there",
            f'n = Network()\nn.connect("{a}", "{b}", {x + z})\nn.connect("{b}", "{a}", {x})\nn.neighbours("{a}")',
        )
        yield Check("network", "a road without length raises ValueError", f'Network().connect("{a}", "{b}", 0)')
        yield Check("network", "an unknown place raises NoSuchPlace", f'{net}n.neighbours("{e}")')
        yield Check(
            "network",
            "changing what `neighbours` gave changes no road",
            f'{net}n.neighbours("{a}").clear()\nn.neighbours("{a}")',
        )
        yield Check(
            "network",
            "noting a place again keeps its roads",
            f'{net}n.place("{a}")\nn.place("{e}")\n(n.places(), n.neighbours("{a}"))',
        )
        yield Check(
            "network",
            "a closed road is gone in both directions",
            f'{net}(n.close("{a}", "{b}"), n.neighbours("{a}"), n.neighbours("{b}"))',
        )
        yield Check(
            "network",
            "closing a one-way road from its end works, and closing nothing says False",
            f'n = Network()\nn.connect("{a}", "{b}", {x}, both=False)\n(n.close("{b}", "{a}"), n.close("{a}", "{b}"), n.close("{c}", "{d}"))',
        )
        yield Check(
            "network", "places that at most one road leaves are dead ends", f'{net}n.place("{e}")\nn.dead_ends()'
        )
        yield Check(
            "plan",
            "`hops` counts the fewest roads",
            f'{net}[hops(n, "{a}", "{d}"), hops(n, "{b}", "{d}"), hops(n, "{a}", "{a}")]',
        )
        yield Check("plan", "`hops` says None where there is no way", f'{net}n.place("{e}")\nhops(n, "{a}", "{e}")')
        yield Check("plan", "the cheapest way costs least, not fewest roads", f'{net}cheapest(n, "{a}", "{c}")')
        yield Check("plan", "the cheapest way goes on to the end", f'{net}cheapest(n, "{d}", "{a}")')
        yield Check("plan", "a way can avoid places", f'{net}cheapest(n, "{a}", "{d}", avoid=["{b}"])')
        yield Check("plan", "there may be no way that avoids places", f'{net}cheapest(n, "{a}", "{d}", avoid=["{c}"])')
        yield Check("plan", "staying costs nothing", f'{net}cheapest(n, "{b}", "{b}")')
        yield Check(
            "plan",
            "all places that ways lead to are reachable, the start among them",
            f'{net}n.connect("{e}", "{a}", 1, both=False)\nreachable(n, "{a}")',
        )
        yield Check(
            "plan",
            "a budget may just be used up",
            f'{net}[reachable(n, "{a}", {x + y}), reachable(n, "{a}", {x + y - 1})]',
        )
        yield Check(
            "plan",
            "what is reachable within a budget counts the cheapest ways",
            f'{net}reachable(n, "{a}", {x + y + z})',
        )
        yield Check("plan", "no budget is left for the next road", f'{net}reachable(n, "{d}", {z - 1})')
        yield Check("plan", "a tour costs the sum of its ways", f'{net}tour_cost(n, ["{a}", "{c}", "{d}"])')
        yield Check(
            "plan",
            "a closed tour goes back to the first stop",
            f'{net}tour_cost(n, ["{a}", "{b}", "{d}"], closed=True)',
        )
        yield Check(
            "plan",
            "a tour of one stop is free",
            f'{net}[tour_cost(n, ["{a}"]), tour_cost(n, ["{a}"], closed=True), tour_cost(n, [])]',
        )
        yield Check(
            "plan", "a tour that cannot be made costs None", f'{net}n.place("{e}")\ntour_cost(n, ["{a}", "{e}", "{b}"])'
        )
        one = f'n = Network()\nn.connect("{a}", "{b}", both=False)\nn.connect("{c}", "{b}", both=False)\nn.connect("{b}", "{d}", both=False)\n'
        yield Check("plan", "in an order every road leads forward", f"{one}order(n)")
        yield Check(
            "plan",
            "a choice in an order is made by name",
            f'{one}n.place("{e}")\nn.connect("{e}", "{d}", both=False)\norder(n)',
        )
        yield Check(
            "plan",
            "places without roads are in the order, too",
            f'n = Network()\nn.place("{b}")\nn.place("{a}")\nn.place("{e}")\norder(n)',
        )
        yield Check(
            "plan", "a circle has no order and raises ValueError", f'{one}n.connect("{d}", "{a}", both=False)\norder(n)'
        )

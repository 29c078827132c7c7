"""Ways through a network."""

import heapq
from collections import deque


def hops(network, start, end):
    """The fewest roads from start to end; None where there is no way."""
    seen = {start: 0}
    waiting = deque([start])
    while waiting:
        here = waiting.popleft()
        if here == end:
            return seen[here]
        for there in sorted(network.neighbours(here)):
            if there not in seen:
                seen[there] = seen[here] + 1
                waiting.append(there)
    return None


def reachable(network, start, budget=None):
    """Places that can be come to from start at a cost within the budget, start among them, in order."""
    best = {start: 0}
    waiting = [(0, start)]
    while waiting:
        cost, here = heapq.heappop(waiting)
        if cost > best[here]:
            continue
        for there, length in network.neighbours(here).items():
            total = cost + length
            if budget is not None and total > budget:
                continue
            if there not in best or total < best[there]:
                best[there] = total
                heapq.heappush(waiting, (total, there))
    return sorted(best)


def cheapest(network, start, end, avoid=()):
    """(cost, places) of the cheapest way that passes none of those to avoid; None where there is no way."""
    waiting = [(0, [start])]
    done = set(avoid)
    while waiting:
        cost, way = heapq.heappop(waiting)
        here = way[-1]
        if here == end:
            return cost, way
        if here in done:
            continue
        done.add(here)
        for there, length in network.neighbours(here).items():
            if there not in done:
                heapq.heappush(waiting, (cost + length, [*way, there]))
    return None


def tour_cost(network, stops, closed=False):
    """What it costs to go from stop to stop, and back to the first where it is closed; None where there is no way."""
    pairs = list(zip(stops, stops[1:]))
    if closed and len(stops) > 1:
        pairs.append((stops[-1], stops[0]))
    cost = 0
    for start, end in pairs:
        found = cheapest(network, start, end)
        if found is None:
            return None
        cost += found[0]
    return cost


def order(network):
    """Places so that every road leads forward, by name where that leaves a choice. Raises ValueError for a circle."""
    coming = dict.fromkeys(network.places(), 0)
    for name in network.places():
        for there in network.neighbours(name):
            coming[there] += 1
    ready = sorted(name for name, count in coming.items() if count == 0)
    found = []
    while ready:
        here = ready.pop(0)
        found.append(here)
        for there in network.neighbours(here):
            coming[there] -= 1
            if coming[there] == 0:
                ready.append(there)
        ready.sort()
    if len(found) < len(coming):
        raise ValueError("there is a circle")
    return found

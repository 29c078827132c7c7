"""Places, roads between them, and the ways to go."""

from .network import Network, NoSuchPlace
from .plan import cheapest, hops, order, reachable, tour_cost

__all__ = ["Network", "NoSuchPlace", "cheapest", "hops", "order", "reachable", "tour_cost"]

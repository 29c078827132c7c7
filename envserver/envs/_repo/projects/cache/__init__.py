"""Values that are kept for a while: the newest ones, for so long, with counts."""

from .bounded import Bounded
from .layers import Layers
from .timed import Timed

__all__ = ["Bounded", "Layers", "Timed"]

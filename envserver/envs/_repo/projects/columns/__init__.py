"""Text in lines and columns."""

from .grid import grid
from .paragraphs import indent, justify, wrap
from .words import clip, slug, titled

__all__ = ["clip", "grid", "indent", "justify", "slug", "titled", "wrap"]

"""Settings in text: read, typed, put over each other."""

from .layering import Layered, flatten
from .reading import SettingsError, read, write
from .typed import boolean, duration, size, words

__all__ = ["Layered", "SettingsError", "boolean", "duration", "flatten", "read", "size", "words", "write"]

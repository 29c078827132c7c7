"""Arithmetic in text: read into tokens, parsed by precedence, evaluated with variables."""

from .evaluate import calculate, value_of
from .parser import FormulaError, parse
from .tokens import split_tokens

__all__ = ["FormulaError", "calculate", "parse", "split_tokens", "value_of"]

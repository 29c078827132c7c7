"""Measured numbers: what they are on the whole, how they run, and tables of them."""

from .matrix import Matrix, identity
from .series import deltas, moving, normalised, runs
from .summary import mean, median, percentile, quartiles, spread, tally

__all__ = [
    "Matrix",
    "deltas",
    "identity",
    "mean",
    "median",
    "moving",
    "normalised",
    "percentile",
    "quartiles",
    "runs",
    "spread",
    "tally",
]

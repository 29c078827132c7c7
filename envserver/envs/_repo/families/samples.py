"""Measured numbers, and tables of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from envserver.envs._repo.project import Check, Family

__all__ = ["Samples"]


class Samples(Family):
    """Summaries, series, matrices."""

    names = {
        "samples": ("samples", "statkit", "measures", "numbers_kit"),
        "summary": ("summary", "describe", "overall"),
        "series": ("series", "sequences", "runs_of"),
        "matrix": ("matrix", "tables", "linear"),
        "Matrix": ("Matrix", "Table", "Grid"),
        "moving": ("moving", "rolling", "windowed"),
        "deltas": ("deltas", "differences", "changes"),
        "normalised": ("normalised", "rescaled", "stretched"),
        "tally": ("tally", "histogram", "classes"),
        "percentile": ("percentile", "quantile", "rank_value"),
        "turned": ("turned", "transposed", "flipped"),
        "spread": ("spread", "deviation", "stdev"),
        "identity": ("identity", "unit", "eye"),
    }
    constants = {"WINDOW": (2, 3, 4)}

    def checks(self, rng: Random, constants: Mapping[str, Any]) -> Iterator[Check]:
        n = [rng.randint(1, 40) for _ in range(9)]
        odd, even, w = n[:7], n[:8], [rng.randint(1, 4) for _ in range(7)]
        yield Check("summary", "the mean is the sum over the number", f"round(mean({odd}), 6)")
        yield Check("summary", "a weighted mean weighs each value", f"round(mean({odd}, {w}), 6)")
        yield Check("summary", "weights of another number raise ValueError", f"mean({odd}, {w[:5]})")
        yield Check("summary", "the mean of nothing raises ValueError", "mean([])")
        yield Check("summary", "weights of 0 raise ValueError", "mean([1, 2], [0, 0])")
        yield Check("summary", "the median of an odd number is the middle one", f"median({odd})")
        yield Check("summary", "the median of an even number is between the two in the middle", f"median({even})")
        yield Check("summary", "the median of nothing raises ValueError", "median([])")
        yield Check("summary", "one or two values have a median", f"[median([{n[0]}]), median({n[:2]})]")
        p = rng.choice([10, 30, 40, 70, 90])
        yield Check(
            "summary",
            "a percentile lies between two values in proportion",
            f"[round(percentile({odd}, {p}), 6), round(percentile({even}, {p}), 6)]",
        )
        yield Check(
            "summary",
            "0 and 100 percent are the least and the greatest",
            f"[percentile({odd}, 0), percentile({odd}, 100)]",
        )
        yield Check("summary", "a percentage beyond 100 raises ValueError", f"percentile({odd}, 101)")
        yield Check("summary", "a percentage below 0 raises ValueError", f"percentile({odd}, -1)")
        yield Check("summary", "a percentile of nothing raises ValueError", "percentile([], 50)")
        yield Check("summary", "quartiles are 25, 50 and 75 percent", f"[round(one, 6) for one in quartiles({even})]")
        yield Check("summary", "the spread of a sample divides by one less", f"round(spread({odd}), 6)")
        yield Check(
            "summary",
            "the spread of all values divides by their number",
            f"[round(spread({odd}, sample=False), 6), spread([{n[0]}], False)]",
        )
        yield Check("summary", "the spread of one value of a sample raises ValueError", f"spread([{n[0]}])")
        yield Check("summary", "classes have the width and are in order", f"[tally({n}, 10), list(tally({n}, 10))]")
        yield Check("summary", "classes are one wide unless told otherwise", "tally([3, 1, 3, -2])")
        yield Check("summary", "a value at the start of a class lies in it", "tally([0, 4, 5, 9, 10], 5)")
        yield Check(
            "series", "a moving mean has a value for each window", f"[round(one, 6) for one in moving({odd}, 4)]"
        )
        yield Check("series", "a window is as long as the README says", f"[round(one, 6) for one in moving({odd})]")
        yield Check(
            "series",
            "a window of one gives the values, one too long gives none",
            f"[moving({odd[:3]}, 1), moving({odd[:3]}, 4), moving({odd[:2]}, 2)]",
        )
        yield Check("series", "a window of nothing raises ValueError", f"moving({odd}, 0)")
        yield Check("series", "deltas are to the value before", f"deltas({odd})")
        yield Check("series", "deltas have a lag", f"deltas({odd}, 3)")
        yield Check(
            "series",
            "runs count stretches of one value",
            f"runs([{n[0]}, {n[0]}, {n[1] + 50}, {n[0]}, {n[0]}, {n[0]}])",
        )
        yield Check("series", "nothing has no runs", "[runs([]), runs([0]), runs([None, None])]")
        yield Check(
            "series", "values are stretched to 0 to 1", f"[round(one, 6) for one in normalised({odd[:5]} + [0, 50])]"
        )
        yield Check(
            "series",
            "values are stretched to a range",
            f"[round(one, 6) for one in normalised([{n[0]}, 50, 60], -{w[0]}, {w[1] + 2})]",
        )
        yield Check("series", "values that are alike become the lower end", f"normalised([{n[0]}, {n[0]}], {w[0]}, 9)")
        a = [[n[0], n[1]], [n[2], n[3]]]
        b = [[n[4], n[5], 1], [n[6], n[7], 2]]
        yield Check("matrix", "rows of two lengths raise ValueError", "Matrix([[1, 2], [3]])")
        yield Check(
            "matrix",
            "changing the rows it was made of changes nothing",
            "rows = [[1, 2], [3, 4]]\nm = Matrix(rows)\nrows[0][0] = 9\nm.rows",
        )
        yield Check("matrix", "the shape is rows and columns", f"[Matrix({b}).shape(), Matrix([]).shape()]")
        yield Check("matrix", "turning changes rows for columns", f"Matrix({b}).turned().rows")
        yield Check("matrix", "a sum adds place by place", f"Matrix({a}).plus(Matrix([[1, 2], [3, 4]])).rows")
        yield Check(
            "matrix",
            "a sum may take a multiple of the other one",
            f"Matrix({a}).plus(Matrix([[1, 2], [3, 4]]), {w[0] + 1}).rows",
        )
        yield Check("matrix", "a sum of two shapes raises ValueError", f"Matrix({a}).plus(Matrix({b}))")
        yield Check("matrix", "a product multiplies rows by columns", f"Matrix({a}).times(Matrix({b})).rows")
        yield Check("matrix", "a product that does not fit raises ValueError", f"Matrix({b}).times(Matrix({a}))")
        yield Check(
            "matrix",
            "identity changes nothing in a product",
            f"[identity(3).rows, Matrix({b}).times(identity(3)).rows]",
        )
        c = [[n[0], 2, n[1]], [1, n[2], 0], [n[3], 1, 3]]
        yield Check("matrix", "the determinant of two by two", f"Matrix({a}).determinant()")
        yield Check("matrix", "the determinant of three by three", f"Matrix({c}).determinant()")
        yield Check(
            "matrix", "what is no square has no determinant and raises ValueError", f"Matrix({b}).determinant()"
        )
        yield Check("matrix", "the trace sums the diagonal", f"[Matrix({c}).trace(), Matrix({b}).trace()]")

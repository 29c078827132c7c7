"""Rows of cells as a table of text."""

from .words import clip

GAP = "  "
WIDEST = 20


def grid(rows, header=None, align="", widest=WIDEST):
    """Lines of a table; `align` has a sign a column: "l", "r" or "c", and "l" where it has none.

    Rows may be short: what is missing is empty. A header is followed by a line of dashes.
    """
    cells = [[clip(str(cell), widest) for cell in row] for row in ([header] if header else []) + list(rows)]
    if not cells:
        return []
    count = max(len(row) for row in cells)
    for row in cells:
        row.extend([""] * (count - len(row)))
    widths = [max(len(row[at]) for row in cells) for at in range(count)]
    signs = align.ljust(count, "l")
    lines = [GAP.join(_placed(cell, width, sign) for cell, width, sign in zip(row, widths, signs)) for row in cells]
    if header:
        lines.insert(1, GAP.join("-" * width for width in widths))
    return [line.rstrip() for line in lines]


def _placed(cell, width, sign):
    if sign == "r":
        return cell.rjust(width)
    if sign == "c":
        left = (width - len(cell)) // 2
        return " " * left + cell + " " * (width - len(cell) - left)
    return cell.ljust(width)

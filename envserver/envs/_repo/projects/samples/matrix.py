"""Tables of numbers that can be added and multiplied."""


class Matrix:
    """Rows of numbers, all of one length; never changed in place."""

    def __init__(self, rows):
        self.rows = [list(row) for row in rows]
        if len({len(row) for row in self.rows}) > 1:
            raise ValueError("all rows have one length")

    def shape(self):
        """(rows, columns)."""
        return len(self.rows), len(self.rows[0]) if self.rows else 0

    def turned(self):
        """Rows and columns changed for each other."""
        height, width = self.shape()
        return Matrix([[self.rows[y][x] for y in range(height)] for x in range(width)])

    def plus(self, other, factor=1):
        """The sum with a multiple of the other one."""
        if self.shape() != other.shape():
            raise ValueError("both have one shape")
        pairs = zip(self.rows, other.rows)
        return Matrix([[a + factor * b for a, b in zip(mine, theirs)] for mine, theirs in pairs])

    def times(self, other):
        """The product."""
        if self.shape()[1] != other.shape()[0]:
            raise ValueError("as many columns as the other has rows are needed")
        columns = other.turned().rows
        return Matrix([[sum(a * b for a, b in zip(row, column)) for column in columns] for row in self.rows])

    def determinant(self):
        """The determinant of a square table."""
        height, width = self.shape()
        if height != width:
            raise ValueError("only a square has a determinant")
        if height == 1:
            return self.rows[0][0]
        total = 0
        for at in range(width):
            minor = Matrix([row[:at] + row[at + 1 :] for row in self.rows[1:]])
            total += (-1) ** at * self.rows[0][at] * minor.determinant()
        return total

    def trace(self):
        """The sum of the diagonal."""
        return sum(self.rows[at][at] for at in range(min(self.shape())))


def identity(size):
    """Ones on the diagonal, else nothing."""
    return Matrix([[1 if x == y else 0 for x in range(size)] for y in range(size)])

"""Tokens as a tree of tuples: ("num", 2), ("var", "x"), ("neg", tree), ("call", name, [trees]), (sign, left, right)."""

from .tokens import split_tokens

LEVELS = {"+": 1, "-": 1, "*": 2, "/": 2, "%": 2, "^": 3}


class FormulaError(ValueError):
    """Raised for a text that is no formula."""


class Reader:
    """Tokens from left to right."""

    def __init__(self, tokens):
        self.tokens = list(tokens)
        self.at = 0

    def peek(self):
        """The text of the next sign; None where it is none."""
        if self.at < len(self.tokens) and self.tokens[self.at][0] == "sign":
            return self.tokens[self.at][1]
        return None

    def next(self):
        """The next token, taken."""
        if self.at >= len(self.tokens):
            raise FormulaError("the text ends too soon")
        self.at += 1
        return self.tokens[self.at - 1]

    def expect(self, sign):
        """Take a sign that has to come."""
        kind, text = self.next()
        if kind != "sign" or text != sign:
            raise FormulaError(f"{sign} expected, not {text}")


def parse(text):
    """The tree of a formula. Raises FormulaError."""
    reader = Reader(split_tokens(text))
    tree = _binary(reader, 1)
    if reader.at < len(reader.tokens):
        raise FormulaError(f"unexpected {reader.next()[1]}")
    return tree


def _binary(reader, level):
    """Operators of at least this level; those of one level group to the left, powers to the right."""
    left = _operand(reader)
    while True:
        sign = reader.peek()
        if LEVELS.get(sign, 0) < level:
            return left
        reader.next()
        own = LEVELS[sign]
        right = _binary(reader, own if sign == "^" else own + 1)
        left = (sign, left, right)


def _operand(reader):
    kind, text = reader.next()
    if kind == "number":
        return ("num", float(text) if "." in text else int(text))
    if kind == "name":
        if reader.peek() == "(":
            reader.next()
            return ("call", text, _arguments(reader))
        return ("var", text)
    if text == "(":
        tree = _binary(reader, 1)
        reader.expect(")")
        return tree
    if text == "-":
        return ("neg", _binary(reader, 3))
    raise FormulaError(f"unexpected {text}")


def _arguments(reader):
    """Formulas up to the closing bracket; there may be none."""
    found = []
    if reader.peek() == ")":
        reader.next()
        return found
    while True:
        found.append(_binary(reader, 1))
        if reader.peek() != ",":
            reader.expect(")")
            return found
        reader.next()

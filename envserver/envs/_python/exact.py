"""Exact values: a text such as `3/4`, `2*sqrt(3)`, `\\frac{\\pi}{6}` or `x^2 - 1` read as a sum of terms.

A term is a fraction times powers of names (`pi` is one), times the root of a whole number without square factors. Such
sums are equal exactly where their terms are, so `0.75` is `3/4` and `(x+1)^2` is `x^2+2x+1`, and nothing is rounded.
What is no such sum is none; nothing of a text is ever run.
"""

from __future__ import annotations

import ast
import re
from fractions import Fraction
from math import gcd

__all__ = ["equal", "exact"]

LONGEST_CHARS = 300
MOST_TERMS = 200
MOST_POWER = 100
MOST_BITS = 4096

Term = tuple[tuple[tuple[str, int], ...], int]
"""Names with their powers, and what stands under the root."""
Sum = dict[Term, Fraction]

WORDS = (
    (r"\\(left|right|displaystyle|,|;|!|:)", ""),
    (r"\\[dt]?frac\s*(\d)\s*(\d)", r"((\1)/(\2))"),
    (r"\\(cdot|times)", "*"),
    (r"\\div", "/"),
    (r"\\pi\b|π", "pi"),
    (r"\\sqrt\s*(\d|[a-z]\b)", r"sqrt(\1)"),
    (r"√\s*(\d+)", r"sqrt(\1)"),
    (r"\\(text|mathrm|mbox)\s*\{[^{}]*\}", ""),
    (r"\\?\$|\\?%|\\ |°|\^\s*\\circ|\^\s*\{\\circ\}", ""),
    (r"−", "-"),
    (r"(?<=\d),(?=\d{3}\b)", ""),
)
"""How LaTeX says it, and how it is read here."""
BRACED = ((re.compile(r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}"), r"((\1)/(\2))"),
          (re.compile(r"\\sqrt\{([^{}]*)\}"), r"sqrt(\1)"),
          (re.compile(r"\^\{([^{}]*)\}"), r"^(\1)"))  # fmt: skip


def equal(said: str, right: str) -> bool:
    """Whether two texts say the same value; where one is no value, whether they are the same text but for blanks."""
    one, other = exact(said), exact(right)
    if one is not None and other is not None:
        return one == other
    return bool(right.strip()) and _bare(said) == _bare(right)


def exact(text: str) -> Sum | None:
    """The value of a text; None where it is none."""
    if len(text) > LONGEST_CHARS:
        return None
    text = _plain(text)
    try:
        return _value(ast.parse(text, mode="eval").body)
    except (ValueError, SyntaxError, ZeroDivisionError, RecursionError, MemoryError):
        return None


def _bare(text: str) -> str:
    return re.sub(r"[\s$]|\\(left|right|text|mathrm|,|;|!)", "", text[: 4 * LONGEST_CHARS]).rstrip(".").lower()


def _plain(text: str) -> str:
    """The same as Python writes it."""
    text = text.strip().rstrip(".")
    if (match := re.fullmatch(r"[a-z]\s*=\s*(.*)", text)) is not None:
        text = match[1]
    for pattern, written in WORDS:
        text = re.sub(pattern, written, text)
    for _ in range(8):
        for shape, written in BRACED:
            text = shape.sub(written, text)
    text = text.replace("{", "(").replace("}", ")").replace("^", "**")
    # What stands side by side is multiplied: 2x, 3(x+1), 2sqrt(3), (a)(b).
    text = re.sub(r"(?<![\w.])(\d+(?:\.\d+)?)\s*(?=[a-z(])", r"\1*", text)
    text = re.sub(r"\)\s*(?=[\w(])", ")*", text)
    return re.sub(r"\b(pi|(?!sqrt\b)[a-z])\s*(?=\()", r"\1*", text).strip()


def _value(node: ast.expr) -> Sum:
    """Raises ValueError for what is no sum of terms."""
    if isinstance(node, ast.Constant):
        if type(node.value) is int:
            return _number(Fraction(node.value))
        if type(node.value) is float:
            # As it is written: 0.1 is a tenth.
            return _number(Fraction(repr(node.value)))
        raise ValueError("no number")
    if isinstance(node, ast.Name):
        if not re.fullmatch(r"pi|[a-z]", node.id):
            raise ValueError("no name")
        return {(((node.id, 1),), 1): Fraction(1)}
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        return _times(_value(node.operand), _number(Fraction(-1 if isinstance(node.op, ast.USub) else 1)))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "sqrt":
        [under] = node.args
        return _root(_value(under))
    if isinstance(node, ast.BinOp):
        return _both(node)
    raise ValueError("no value")


def _both(node: ast.BinOp) -> Sum:
    one, other = _value(node.left), _value(node.right)
    match node.op:
        case ast.Add():
            return _plus(one, other)
        case ast.Sub():
            return _plus(one, _times(other, _number(Fraction(-1))))
        case ast.Mult():
            return _times(one, other)
        case ast.Div():
            return _times(one, _inverse(other))
        case ast.Pow():
            return _power(one, other)
    raise ValueError("no operation")


def _number(value: Fraction) -> Sum:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MOST_BITS:
        raise ValueError("too large")
    return {((), 1): value} if value else {}


def _plus(one: Sum, other: Sum) -> Sum:
    total = dict(one)
    for term, factor in other.items():
        total[term] = total.get(term, Fraction(0)) + factor
    return {term: factor for term, factor in total.items() if factor}


def _times(one: Sum, other: Sum) -> Sum:
    if len(one) * len(other) > MOST_TERMS**2:
        raise ValueError("too long")
    total: Sum = {}
    for (names, root), factor in one.items():
        for (more, second), by in other.items():
            powers = dict(names)
            for name, power in more:
                powers[name] = powers.get(name, 0) + power
            # sqrt(a) sqrt(b) = g sqrt(a/g · b/g), g their greatest common divisor: both have no square factor.
            common = gcd(root, second)
            term = (tuple(sorted((n, p) for n, p in powers.items() if p)), root // common * (second // common))
            product = factor * by * common
            _number(product)
            total = _plus(total, {term: product})
    if len(total) > MOST_TERMS:
        raise ValueError("too long")
    return total


def _inverse(value: Sum) -> Sum:
    """One over it, where it has one term, or is a sum of two of which one has no root."""
    if not value:
        raise ZeroDivisionError
    if len(value) == 1:
        [((names, root), factor)] = value.items()
        return {(tuple((name, -power) for name, power in names), root): 1 / (factor * root)}
    if len(value) == 2 and not any(names for names, _ in value):
        [(one, a), (other, b)] = value.items()
        turned = {one: a, other: -b}
        return _times(turned, _inverse(_times(value, turned)))
    raise ValueError("it is divided by a sum")


def _power(base: Sum, power: Sum) -> Sum:
    if power == {((), 1): Fraction(1, 2)}:
        return _root(base)
    if power and set(power) != {((), 1)}:
        raise ValueError("the power is no number")
    exponent = power.get(((), 1), Fraction(0))
    if exponent.denominator != 1 or abs(exponent) > MOST_POWER:
        raise ValueError("the power is no small whole number")
    base = base if exponent >= 0 else _inverse(base)
    total = _number(Fraction(1))
    for _ in range(abs(int(exponent))):
        total = _times(total, base)
    return total


def _root(value: Sum) -> Sum:
    """The root of a fraction that is not below zero."""
    if not value:
        return {}
    if set(value) != {((), 1)} or value[(), 1] < 0:
        raise ValueError("the root is of no number")
    number = value[(), 1]
    # sqrt(p/q) = sqrt(pq)/q
    under, outside = number.numerator * number.denominator, 1
    if under > 10**12:
        raise ValueError("too large")
    factor = 2
    while factor * factor <= under:
        while under % (factor * factor) == 0:
            under, outside = under // (factor * factor), outside * factor
        factor += 1
    return {((), under): Fraction(outside, number.denominator)}

"""Defects: small changes of a source at one place, of the kinds that people make, found in its syntax tree.

A defect is a replacement of a stretch of text, so everything around it stays as it was written. Its site is its
function and its line: all defects of one site belong to one split.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from zlib import crc32

from envserver.envs._repo.project import sources

__all__ = ["Defect", "changed", "defects"]

COMPARISONS = {
    ast.Lt: ("<=", ">"), ast.LtE: ("<",), ast.Gt: (">=", "<"), ast.GtE: (">",), ast.Eq: ("!=", "<="),
    ast.NotEq: ("==",), ast.In: ("not in",), ast.NotIn: ("in",), ast.Is: ("is not",), ast.IsNot: ("is",),
}  # fmt: skip
ARITHMETIC = {
    ast.Add: ("-",), ast.Sub: ("+",), ast.Mult: ("+", "//"), ast.FloorDiv: ("*", "%"), ast.Mod: ("//",),
    ast.Div: ("*", "//"), ast.BitAnd: ("|",), ast.BitOr: ("&",), ast.Pow: ("*",),
}  # fmt: skip
TWINS = {
    "min": "max", "max": "min", "any": "all", "all": "any", "startswith": "endswith", "endswith": "startswith",
    "lstrip": "rstrip", "rstrip": "lstrip", "strip": "rstrip", "ljust": "rjust", "rjust": "ljust", "find": "rfind",
    "partition": "rpartition", "rpartition": "partition", "append": "extend", "upper": "lower", "lower": "upper",
    "keys": "values", "floor": "ceil", "ceil": "floor", "popleft": "pop", "heappush": "append", "union": "intersection",
}  # fmt: skip
COPIES = {"list", "dict", "set", "sorted", "tuple", "abs", "reversed"}


@dataclass(frozen=True, slots=True)
class Defect:
    """One change of a module of a template."""

    family: str
    module: str
    function: str
    """Its qualified name, in the template's words."""
    kind: str
    start: int
    end: int
    """Offsets of what is replaced."""
    text: str
    """What stands there instead."""
    line: str
    """The line it begins in."""

    @property
    def site(self) -> str:
        """Where it is, independent of all that varies."""
        return f"{self.family}.{self.module}.{self.function}: {self.line}"


def changed(source: str, found: list[Defect]) -> str:
    """A source with defects of it in place; they do not overlap."""
    for defect in sorted(found, key=lambda defect: -defect.start):
        source = source[: defect.start] + defect.text + source[defect.end :]
    return source


@cache
def defects(family: str, split: str, shares: range, parts: int) -> tuple[Defect, ...]:
    """All that a family can have in a split: sites in the order of a hash, of `parts` parts those in `shares`."""
    found = [
        defect
        for module, text in sources(family).items()
        if module != "__init__"
        for defect in _of(family, module, text)
    ]
    sites = sorted({defect.site for defect in found}, key=lambda site: (crc32(site.encode()), site))
    mine = {site for place, site in enumerate(sites) if place * parts // len(sites) in shares}
    return tuple(defect for defect in found if defect.site in mine)


def _of(family: str, module: str, source: str) -> Iterator[Defect]:
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    seen: set[str] = set()
    for function, node in _functions(ast.parse(source)):
        for kind, at, start, end, text in _changes(node, source, starts):
            whole = source[:start] + text + source[end:]
            if whole in seen or whole == source:
                continue
            seen.add(whole)
            try:
                ast.parse(whole)
            except SyntaxError:
                continue
            yield Defect(family, module, function, kind, start, end, text, lines[at - 1].strip())


def _functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef):
                    yield f"{node.name}.{inner.name}", inner


def _changes(function: ast.FunctionDef, source: str, starts: list[int]) -> Iterator[tuple[str, int, int, int, str]]:
    """(kind, line, start, end, text) of each change of a function."""

    def span(node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset

    def text(node: ast.expr | ast.stmt) -> str:
        start, end = span(node)
        return source[start:end]

    def operator(left: ast.expr, right: ast.expr, other: str) -> tuple[int, int, str]:
        """The operator between two operands; brackets around them stay."""
        start, end = span(left)[1], span(right)[0]
        between = source[start:end]
        found = re.search(r"not in|is not|[-+*/%<>=!&|]+|\bin\b|\bis\b|\band\b|\bor\b", between)
        assert found is not None, between
        return start + found.start(), start + found.end(), other

    arguments = function.args
    for default in [*arguments.defaults, *(one for one in arguments.kw_defaults if one is not None)]:
        if isinstance(default, ast.Constant) and isinstance(default.value, bool):
            yield "wrong default", default.lineno, *span(default), str(not default.value)
        elif isinstance(default, ast.Constant) and isinstance(default.value, int):
            yield "wrong default", default.lineno, *span(default), str(default.value + 1)
    keys = sorted(
        {
            node.slice.value
            for node in ast.walk(function)
            if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant)
            if isinstance(node.slice.value, str)
        }
    )
    # A docstring is no place for a defect.
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    for node in (inner for statement in body for inner in ast.walk(statement)):
        match node:
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                for other in COMPARISONS[type(op)]:
                    yield "wrong comparison", left.lineno, *operator(left, right, other)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
                if not isinstance(left, ast.Constant) or not isinstance(left.value, str):
                    for other in ARITHMETIC[type(op)]:
                        yield "wrong operator", left.lineno, *operator(left, right, other)
            case ast.BoolOp(op=op, values=[left, right, *_]):
                other = "or" if isinstance(op, ast.And) else "and"
                yield "wrong operator", left.lineno, *operator(left, right, other)
                yield "missing case", node.lineno, *span(node), text(left)
                yield "missing case", node.lineno, *span(node), text(right)
            case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
                yield "wrong operator", node.lineno, *span(node), text(operand)
            case ast.Constant(value=bool() as value):
                yield "wrong value", node.lineno, *span(node), str(not value)
            case ast.Constant(value=int() as value) if 0 <= value < 1000:
                yield "off by one", node.lineno, *span(node), str(value + 1)
                if value > 0:
                    yield "off by one", node.lineno, *span(node), str(value - 1)
            case ast.Subscript(slice=ast.Constant(value=str() as value) as key) if len(keys) > 1:
                other = keys[(keys.index(value) + 1) % len(keys)]
                yield "wrong key", key.lineno, *span(key), f'"{other}"'
            case ast.IfExp(body=first, orelse=second):
                yield "missing case", node.lineno, *span(node), text(first)
                yield "missing case", node.lineno, *span(node), text(second)
            case ast.Call(func=ast.Name(id=name), args=[one], keywords=[]) if name in COPIES:
                if not isinstance(one, ast.GeneratorExp):
                    yield "missing copy", node.lineno, *span(node), text(one)
            case ast.Call(func=ast.Attribute(value=owner, attr="copy"), args=[]):
                yield "missing copy", node.lineno, *span(node), text(owner)
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in TWINS:
                start = span(node)[0]
                yield "wrong function", node.lineno, start, start + len(name), TWINS[name]
            case ast.Call(func=ast.Attribute(value=owner, attr=name)) if name in TWINS:
                start = span(owner)[1] + source[span(owner)[1] :].index(name)
                yield "wrong function", node.func.end_lineno or node.lineno, start, start + len(name), TWINS[name]
        match node:
            case ast.Call(args=[one, two, *_]) if text(one) != text(two):
                yield (
                    "swapped arguments",
                    one.lineno,
                    span(one)[0],
                    span(two)[1],
                    (text(two) + source[span(one)[1] : span(two)[0]] + text(one)),
                )
            case ast.AugAssign(target=target, op=op, value=amount):
                other = {ast.Add: "-=", ast.Sub: "+="}.get(type(op), "=")
                start, end = span(target)[1], span(amount)[0]
                yield "wrong operator", node.lineno, start, end, f" {other} "
                yield "lost state", node.lineno, start, end, " = "
            case ast.Return(value=ast.expr() as given) if not isinstance(given, ast.Constant):
                start = span(node)[0]
                yield "lost return", node.lineno, start, span(given)[0], ""
            case ast.Continue():
                yield "wrong jump", node.lineno, *span(node), "break"
            case ast.Break():
                yield "wrong jump", node.lineno, *span(node), "continue"
        for block in (getattr(node, name, None) for name in ("body", "orelse")):
            if isinstance(block, list) and len(block) > 1:
                yield from _dropped(block, starts)
    if len(body) > 1:
        yield from _dropped(body, starts)


def _dropped(block: list[ast.stmt], starts: list[int]) -> Iterator[tuple[str, int, int, int, str]]:
    """Guards and steps of a block, left out."""
    for statement in block:
        assert statement.end_lineno is not None
        guard = isinstance(statement, ast.If) and not statement.orelse and len(statement.body) == 1
        step = isinstance(statement, ast.Expr | ast.AugAssign | ast.Delete)
        if guard or step:
            kind = "missing case" if guard else "missing step"
            yield kind, statement.lineno, starts[statement.lineno - 1], starts[statement.end_lineno], ""

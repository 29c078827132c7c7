"""Arithmetic in text: tokens, a parser, an evaluator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from envserver.envs._repo.project import Check, Family

__all__ = ["Formula"]


class Formula(Family):
    """A tokenizer, a parser by precedence, an evaluator."""

    names = {
        "formula": ("formula", "arith", "calc", "sums"),
        "tokens": ("tokens", "lexer", "scanner"),
        "parser": ("parser", "grammar", "syntax"),
        "evaluate": ("evaluate", "interpret", "compute"),
        "split_tokens": ("split_tokens", "tokenize", "scan"),
        "FormulaError": ("FormulaError", "BadFormula", "ParseError"),
        "calculate": ("calculate", "solve", "result_of"),
        "value_of": ("value_of", "reduce_tree", "run_tree"),
        "Reader": ("Reader", "Cursor", "Stream"),
        "LEVELS": ("LEVELS", "PRECEDENCE", "BINDING"),
    }
    constants = {"DIGITS": (4, 5, 6, 8)}

    def checks(self, rng: Random, constants: Mapping[str, Any]) -> Iterator[Check]:
        a, b, c, d = (rng.randint(2, 9) for _ in range(4))
        x = rng.choice(["x", "rate", "n_1", "total"])

        def calc(says: str, text: str, more: str = "") -> Check:
            return Check("evaluate", says, f'calculate("{text}"{more})')

        yield Check("tokens", "a text is split into numbers, names and signs", f'split_tokens("{a}{b}+{x}*({c}-{d})")')
        yield Check("tokens", "space between tokens says nothing", f'split_tokens("  {a} +  {x} ")')
        yield Check("tokens", "a number may have a point", f'split_tokens("{a}.{b}{c} {d}")')
        yield Check("tokens", "a name may hold digits and underscores", 'split_tokens("_a1+b_2 c")')
        yield Check("tokens", "a character that begins no token raises ValueError", f'split_tokens("{a} $ {b}")')
        yield Check("tokens", "an empty text has no tokens", 'split_tokens("")')
        yield Check("parser", "multiplication binds more than addition", f'parse("{a}+{b}*{c}")')
        yield Check("parser", "operators of one level group to the left", f'parse("{a}-{b}-{c}")')
        yield Check("parser", "powers group to the right", f'parse("{a}^{b}^{c}")')
        yield Check("parser", "a call has its arguments in order", f'parse("f({a}, {x}, {b}+{c})")')
        yield Check("parser", "a call may have no arguments", f'parse("f()+{a}")')
        yield Check("parser", "a number with a point is a float", f'parse("{a}.5")')
        for text in (f"{a}+", f"({a}+{b}", f"{a} {b}", f"{a}+{b})", f"f({a},", ""):
            yield Check("parser", "a text that is no formula raises FormulaError", f'parse("{text}")')
        yield Check("parser", "brackets leave no trace in the tree", f'parse("(({a}+{b}))*{c}")')
        yield calc("brackets come first", f"{a} * ({b} + {c})")
        yield calc("multiplication comes before addition", f"{a} + {b} * {c} - {d}")
        yield calc("subtraction goes from left to right", f"{a * 9} - {b} - {c}")
        yield calc("division and remainder go from left to right", f"{a * b * c} / {b} % {d}")
        yield calc("powers go from right to left", f"2 ^ {1 + a % 3} ^ 2")
        yield calc("a leading minus binds less than a power", f"-{a} ^ 2")
        yield calc("a leading minus binds more than a product", f"-{a} * {b} + {c}")
        yield calc("minus may follow an operator", f"{a} * -{b}")
        yield calc("a whole result is an int", f"{a * b} / {b}")
        yield calc("a result is rounded as the README says", f"{a} / 7")
        yield calc("a remainder is that of the division", f"{a * 10 + 3} % {b + 1}")
        yield calc("variables are looked up", f"{x} * {a} + y", f', {{"{x}": {b}, "y": {c}}}')
        yield calc("an unknown variable raises FormulaError", f"{x} + {a}", ', {"other": 1}')
        yield calc("an unknown function raises FormulaError", f"nothing({a})")
        yield calc("division by zero raises FormulaError", f"{a} / ({b} - {b})")
        yield calc("a remainder by zero raises FormulaError", f"{a} % 0")
        yield calc("min takes the least", f"min({a}, {b + 3}, {c})")
        yield calc("max takes the greatest of several", f"max({a}, {b}, {c} + 5) - abs(0-{d})")
        yield calc("sum adds its arguments", f"sum({a}, {b}, {c}) + sum()")
        yield Check(
            "evaluate",
            "a function that is given comes before one of the same name",
            f'calculate("max({a}, {b})", {{}}, {{"max": lambda p, q: p * q}})',
        )
        yield Check(
            "evaluate",
            "a function that is given reaches calls within calls",
            f'calculate("min(twice({a}), 2 * twice({b}) - 1)", {{}}, {{"twice": lambda p: p * 2}})',
        )
        yield Check("evaluate", "a tree can be evaluated by itself", f'value_of(parse("{x} - {a}"), {{"{x}": {b}}})')

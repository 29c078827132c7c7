"""What a formula gives."""

from .parser import FormulaError, parse

DIGITS = 6


def value_of(tree, variables, functions=None):
    """The value of a tree. Raises FormulaError for a name that is not known."""
    known = {"min": min, "max": max, "abs": abs, "sum": _total}
    known.update(functions or {})
    kind = tree[0]
    if kind == "num":
        return tree[1]
    if kind == "var":
        if tree[1] not in variables:
            raise FormulaError(f"no variable {tree[1]}")
        return variables[tree[1]]
    if kind == "neg":
        return -value_of(tree[1], variables, functions)
    if kind == "call":
        if tree[1] not in known:
            raise FormulaError(f"no function {tree[1]}")
        return known[tree[1]](*[value_of(one, variables, functions) for one in tree[2]])
    left = value_of(tree[1], variables, functions)
    right = value_of(tree[2], variables, functions)
    if kind == "+":
        return left + right
    if kind == "-":
        return left - right
    if kind == "*":
        return left * right
    if kind == "^":
        return left**right
    if right == 0:
        raise FormulaError("division by zero")
    return left / right if kind == "/" else left % right


def calculate(text, variables=None, functions=None):
    """The value of a formula, rounded; a whole number is an int."""
    value = round(value_of(parse(text), variables or {}, functions), DIGITS)
    return int(value) if value == int(value) else value


def _total(*values):
    return sum(values)

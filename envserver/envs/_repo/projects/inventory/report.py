"""What people read of stock and orders."""


def table(stock, width=12):
    """A line a part by name: the name padded to the width, or cut to it, then the count."""
    lines = []
    for part, units in sorted(stock.snapshot().items()):
        name = part if len(part) <= width else part[: width - 1] + "~"
        lines.append(f"{name.ljust(width)} {units:>4}")
    return "\n".join(lines)


def priced(stock, prices, default=0):
    """What all stock is worth; a part without a price counts with the default."""
    worth = 0
    for part, units in stock.snapshot().items():
        worth += units * prices.get(part, default)
    return worth


def shortage(stock, orders):
    """Part -> units that waiting orders want beyond what is there; only what is short."""
    missing = {}
    for part, wanted in orders.demand().items():
        short = wanted - stock.held(part)
        if short > 0:
            missing[part] = short
    return missing

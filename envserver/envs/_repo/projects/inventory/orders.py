"""Orders that wait for stock."""

from .stock import OutOfStock

RUSH_FEE = 5


class OrderBook:
    """Orders in the order in which they are served: rush orders first, then the older ones."""

    def __init__(self):
        self._waiting = []
        self._last = 0

    def place(self, part, units, rush=False):
        """Note an order; returns its number, from 1."""
        if units < 1:
            raise ValueError("an order is for at least one unit")
        self._last += 1
        self._waiting.append({"number": self._last, "part": part, "units": units, "rush": rush})
        return self._last

    def cancel(self, number):
        """Take an order out; whether there was one."""
        kept = [order for order in self._waiting if order["number"] != number]
        found = len(kept) < len(self._waiting)
        self._waiting = kept
        return found

    def pending(self):
        """Numbers of waiting orders as they will be served."""
        ranked = sorted(self._waiting, key=lambda order: (not order["rush"], order["number"]))
        return [order["number"] for order in ranked]

    def demand(self):
        """Part -> units that wait in all."""
        wanted = {}
        for order in self._waiting:
            wanted[order["part"]] = wanted.get(order["part"], 0) + order["units"]
        return wanted

    def fill(self, stock):
        """Serve every order that can be served whole; returns their numbers as served."""
        served = []
        for number in self.pending():
            order = next(one for one in self._waiting if one["number"] == number)
            try:
                stock.take(order["part"], order["units"])
            except OutOfStock:
                continue
            served.append(number)
            self.cancel(number)
        return served

    def fee(self, price):
        """What waiting orders cost at a price a unit: a rush order costs the fee on top."""
        cost = 0
        for order in self._waiting:
            cost += order["units"] * price
            if order["rush"]:
                cost += RUSH_FEE
        return cost

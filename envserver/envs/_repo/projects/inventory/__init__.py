"""Stock of a warehouse, the orders that wait for it, and reports of both."""

from .orders import OrderBook
from .report import priced, shortage, table
from .stock import CAPACITY, OutOfStock, Stock

__all__ = ["CAPACITY", "OrderBook", "OutOfStock", "Stock", "priced", "shortage", "table"]

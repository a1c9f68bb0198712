"""Money is an integer count of nano-USD (1e-9 USD). Nothing else is money."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

NANO_PER_USD = 1_000_000_000
LARGEST = 2**63 - 1


class Money(int):
    """An amount in nano-USD; adds only to Money, multiplies only by whole numbers.

    Raises TypeError for anything that could lose or invent money: floats, bare ints, division.
    Ledger columns are 64-bit, so amounts beyond ±2**63 raise OverflowError where they are built.
    """

    __slots__ = ()

    def __new__(cls, nano_usd: int = 0) -> Money:
        if type(nano_usd) is not int and not isinstance(nano_usd, Money):
            raise TypeError(f"money is a whole number of nano-USD, not {nano_usd!r}")
        if not -LARGEST <= nano_usd <= LARGEST:
            raise OverflowError("more money than a 64-bit ledger holds")
        return int.__new__(cls, nano_usd)

    @classmethod
    def from_usd(cls, text: str) -> Money:
        """Read an amount people write, such as ``5`` or ``0.15``; raises ValueError when it is not exact."""
        try:
            nano = Decimal(text) * NANO_PER_USD
        except InvalidOperation:
            raise ValueError(f"{text!r} is not an amount of USD") from None
        if not nano.is_finite() or nano != nano.to_integral_value():
            raise ValueError(f"{text!r} is not a whole number of nano-USD")
        return cls(int(nano))

    def usd(self) -> str:
        """Show the amount in USD with no digit lost and no trailing zeros, e.g. ``0.0015``."""
        sign = "-" if self < 0 else ""
        whole, nano = divmod(abs(int(self)), NANO_PER_USD)
        fraction = f"{nano:09d}".rstrip("0")
        return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"

    def __add__(self, other: Any) -> Money:
        if not isinstance(other, Money):
            raise TypeError("money is added to money only")  # NotImplemented would let int's own addition step in
        return Money(int.__add__(self, other))

    def __radd__(self, other: Any) -> Money:
        if type(other) is int and other == 0:  # so that sum() works
            return self
        raise TypeError("money is added to money only")

    def __sub__(self, other: Any) -> Money:
        if not isinstance(other, Money):
            raise TypeError("money is subtracted from money only")
        return Money(int.__sub__(self, other))

    def __rsub__(self, other: Any) -> NoReturn:
        raise TypeError("money is subtracted from money only")

    def __mul__(self, other: Any) -> Money:
        if type(other) is not int:
            raise TypeError("money is multiplied by whole numbers only")
        return Money(int.__mul__(self, other))

    __rmul__ = __mul__

    def __neg__(self) -> Money:
        return Money(int.__neg__(self))

    def _no(self, *_: object) -> NoReturn:
        raise TypeError("money is rounded once, in purse/price.py; it is not divided")

    __truediv__ = __floordiv__ = __mod__ = __divmod__ = __pow__ = _no
    __rtruediv__ = __rfloordiv__ = __rmod__ = __rdivmod__ = __rpow__ = _no

    def __repr__(self) -> str:
        return f"Money({int(self)})"


ZERO = Money(0)

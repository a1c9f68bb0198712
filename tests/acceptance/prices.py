"""What a request must have cost, worked out a second time and apart from the station's own arithmetic."""

from __future__ import annotations

from fractions import Fraction

from tests.acceptance.station import Row

INPUT_USD = Fraction("0.15")  # per million tokens, as the fixtures set it
OUTPUT_USD = Fraction("0.60")
PER_REQUEST = 1_000_000  # nano-USD: 0.001 USD


def token_price(*, input_tokens: int, output_tokens: int) -> int:
    """Price tokens in nano-USD, rounded half up."""
    usd = (input_tokens * INPUT_USD + output_tokens * OUTPUT_USD) / 1_000_000
    return int(usd * 1_000_000_000 + Fraction(1, 2))


def fair(row: Row) -> bool:
    """Tell whether a row's charge is what its tokens cost."""
    price = token_price(input_tokens=row["input_tokens"], output_tokens=row["output_tokens"])
    return int(row["charge_nano_usd"]) == price


def total(rows: list[Row]) -> int:
    """Add up what was charged."""
    return sum(int(row["charge_nano_usd"]) for row in rows)

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from yizhan.catalog.entries import Price
from yizhan.money import Money
from yizhan.protocols.usage import CLASSES, Usage
from yizhan.purse.price import LIST_PRICE_PPM, charge, most, rates

LIST = LIST_PRICE_PPM
RATE = st.integers(0, 10**12)
TOKENS = st.integers(0, 10**7)
PPM = st.integers(0, 10 * LIST)
OPTIONAL = [name for name in CLASSES if name not in {"input", "output"}]

prices = st.builds(
    Price,
    version=st.just(1),
    model=st.just("m"),
    input=RATE,
    output=RATE,
    per_request=st.integers(0, 10**9),
    **{name: st.none() | RATE for name in OPTIONAL},
)
usages = st.builds(Usage, **dict.fromkeys(CLASSES, TOKENS))


def test_a_plain_chat_costs_its_tokens() -> None:
    price = Price(1, "m", input=150_000_000, output=600_000_000)  # $0.15 and $0.60
    assert charge(Usage(input=1000, output=500), price=price, multiplier_ppm=LIST) == Money(150_000 + 300_000)


def test_half_a_nano_dollar_is_rounded_up_and_less_is_not() -> None:
    price = Price(1, "m", input=1)
    assert charge(Usage(input=499_999), price=price, multiplier_ppm=LIST) == Money(0)
    assert charge(Usage(input=500_000), price=price, multiplier_ppm=LIST) == Money(1)


def test_classes_without_a_rate_of_their_own_fall_back() -> None:
    assert rates(Price(1, "m", input=3, output=5)) == Usage(3, 3, 3, 3, 3, 3, 5, 5, 5, 5)
    assert rates(Price(1, "m", input=3, cache_write_5m=4)).cache_write_1h == 4
    assert rates(Price(1, "m", input=3, cached_input=0)).cached_input == 0


def test_a_free_model_costs_nothing_whatever_its_rates() -> None:
    price = Price(1, "m", free=True, input=10**9, per_request=5)
    assert charge(Usage(input=10**9), price=price, multiplier_ppm=LIST) == Money(0)
    assert most(input_tokens=10**9, output_tokens=1, price=price, multiplier_ppm=LIST) == Money(0)


def test_a_price_per_request_is_multiplied_by_the_group_too() -> None:
    price = Price(1, "m", per_request=1_000_000)
    assert charge(Usage(), price=price, multiplier_ppm=LIST // 2) == Money(500_000)


def test_more_than_a_ledger_holds_is_an_error_and_not_a_smaller_number() -> None:
    with pytest.raises(OverflowError):
        charge(Usage(input=10**12), price=Price(1, "m", input=10**15), multiplier_ppm=LIST)


@given(prices, usages, PPM)
def test_a_hold_covers_every_way_the_tokens_could_turn_out(price: Price, used: Usage, ppm: int) -> None:
    bound = most(input_tokens=used.input_total, output_tokens=used.output_total, price=price, multiplier_ppm=ppm)
    assert charge(used, price=price, multiplier_ppm=ppm) <= bound


@given(prices, usages, usages, PPM)
def test_more_tokens_never_cost_less(price: Price, some: Usage, more: Usage, ppm: int) -> None:
    both = Usage(**{name: getattr(some, name) + getattr(more, name) for name in CLASSES})
    assert charge(some, price=price, multiplier_ppm=ppm) <= charge(both, price=price, multiplier_ppm=ppm)


@given(prices, usages, PPM, PPM)
def test_a_higher_multiplier_never_costs_less(price: Price, used: Usage, one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert charge(used, price=price, multiplier_ppm=low) <= charge(used, price=price, multiplier_ppm=high)


@given(prices, usages, PPM)
def test_a_charge_is_the_exact_sum_rounded_once(price: Price, used: Usage, ppm: int) -> None:
    assume(not price.free)
    rate = rates(price)
    exact = sum((Fraction(getattr(used, name) * getattr(rate, name), 10**6) for name in CLASSES), Fraction())
    exact = (exact + price.per_request) * ppm / LIST
    assert abs(int(charge(used, price=price, multiplier_ppm=ppm)) - exact) <= Fraction(1, 2)


def test_prices_stay_right_when_more_versions_come_than_are_remembered() -> None:
    for version in range(10_050):
        price = Price(version=version, model="m", input=version * 1_000_000)
        assert charge(Usage(input=1), price=price, multiplier_ppm=LIST) == Money(version)

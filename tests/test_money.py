import pytest
from hypothesis import given
from hypothesis import strategies as st

from yizhan.money import LARGEST, ZERO, Money

amounts = st.integers(-(2**61), 2**61).map(Money)


@given(amounts, amounts)
def test_sums_and_differences_are_exact_and_stay_money(one: Money, other: Money) -> None:
    assert type(one + other) is Money
    assert int(one + other) == int(one) + int(other)
    assert one + other - other == one
    assert ZERO - one == -one


@given(st.lists(st.integers(-1000, 1000).map(Money)))
def test_money_can_be_summed(amounts: list[Money]) -> None:
    assert sum(amounts, ZERO) == sum(int(amount) for amount in amounts)
    assert sum(amounts) == sum(int(amount) for amount in amounts)


def test_money_multiplies_by_whole_numbers_only() -> None:
    assert Money(3) * 4 == 4 * Money(3) == Money(12)
    for wrong in (1.5, Money(2), True, "2"):
        with pytest.raises(TypeError):
            Money(3) * wrong


def test_money_mixes_with_nothing_else() -> None:
    with pytest.raises(TypeError):
        Money(1) + 1
    with pytest.raises(TypeError):
        1 + Money(1)
    with pytest.raises(TypeError):
        Money(1) - 1
    with pytest.raises(TypeError):
        1 - Money(1)


@pytest.mark.parametrize("operator", ["__truediv__", "__floordiv__", "__mod__", "__pow__", "__rtruediv__"])
def test_money_is_never_divided(operator: str) -> None:
    with pytest.raises(TypeError, match="rounded once"):
        getattr(Money(3), operator)(2)


def test_money_is_made_of_whole_numbers_that_fit_the_ledger() -> None:
    for wrong in (1.0, "1", True, None):
        with pytest.raises(TypeError):
            Money(wrong)  # type: ignore[arg-type]
    with pytest.raises(OverflowError):
        Money(LARGEST + 1)
    with pytest.raises(OverflowError):
        Money(LARGEST) + Money(1)
    assert Money(Money(5)) == 5


@given(st.integers(-(10**17), 10**17).map(Money))
def test_what_is_shown_in_usd_reads_back_as_the_same(amount: Money) -> None:
    assert Money.from_usd(amount.usd()) == amount


def test_amounts_people_write() -> None:
    assert Money.from_usd("0.15") == 150_000_000
    assert Money.from_usd("-5").usd() == "-5"
    assert Money(1_500_000).usd() == "0.0015"
    assert repr(Money(5)) == "Money(5)"
    for wrong in ("", "five", "nan", "inf", "0.0000000001"):
        with pytest.raises(ValueError, match="USD"):
            Money.from_usd(wrong)

from hypothesis import given
from hypothesis import strategies as st

from yizhan.protocols.counting import TextCount, tokens_of


@given(st.text(), st.text())
def test_pieces_count_as_their_sum(first: str, second: str) -> None:
    count = TextCount()
    count.add(first)
    count.add(second)
    assert count.tokens() == tokens_of(first + second)


@given(st.text(min_size=1))
def test_text_costs_something_and_never_more_than_its_characters(text: str) -> None:
    assert 1 <= tokens_of(text) <= len(text)


def test_kinds_of_characters_weigh_differently() -> None:
    assert tokens_of("") == 0
    assert tokens_of("abcdefgh" * 10) < tokens_of("абвгдежз" * 10) < tokens_of("一二三四五六七八" * 10)

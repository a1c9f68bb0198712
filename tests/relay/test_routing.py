from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from yizhan.catalog.entries import Channel
from yizhan.relay.routing import plan


def channel(number: int, *, priority: int = 0, weight: int = 1) -> Channel:
    return Channel(
        id=number,
        name=f"c{number}",
        vendor="openai",
        base_url="http://u",
        keys=("k",),
        models={"m": "m"},
        priority=priority,
        weight=weight,
    )


channels = st.lists(
    st.builds(channel, st.integers(1, 9), priority=st.integers(-2, 2), weight=st.integers(0, 5)),
    unique_by=lambda each: each.id,
    max_size=8,
)


@given(channels, st.randoms(use_true_random=False), st.sets(st.integers(1, 9)), st.integers(1, 9))
def test_a_plan_tries_each_channel_at_most_once_best_tier_first_and_resting_ones_last(
    candidates: list[Channel], random: Random, resting: set[int], attempts_max: int
) -> None:
    planned = plan(candidates, draw=random.random, resting=resting, attempts_max=attempts_max)
    assert len(planned) == len({each.id for each in planned}) == min(len(candidates), attempts_max)
    ranks = [(each.id in resting, -each.priority) for each in planned]
    assert ranks == sorted(ranks)


def test_weights_are_chances() -> None:
    random = Random(7)
    pair = [channel(1, weight=3), channel(2, weight=1), channel(3, weight=0)]
    firsts = Counter(plan(pair, draw=random.random, resting=(), attempts_max=3)[0].id for _ in range(4000))
    assert 2800 < firsts[1] < 3200
    assert firsts[3] == 0


def test_a_single_channel_is_tried_even_while_it_rests() -> None:
    only = channel(1)
    assert plan([only], draw=lambda: 0.5, resting={1}, attempts_max=4) == [only]

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yizhan.protocols.sse import Frames, FrameTooLarge, data_of

lines = st.sampled_from(["data: x", "data: {}", ": ping", "event: message", "data:", "id: 3", "data: [DONE]"])
newlines = st.sampled_from(["\n", "\r\n"])


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    frames = []
    for _ in range(draw(st.integers(1, 6))):
        end = draw(newlines)
        frames.append((end.join(draw(st.lists(lines, min_size=1, max_size=3))) + end + end).encode())
    return b"".join(frames), frames


@given(streams(), st.lists(st.integers(0, 200), max_size=8))
def test_frames_come_out_the_same_wherever_the_bytes_were_split(
    stream: tuple[bytes, list[bytes]], cuts: list[int]
) -> None:
    whole, frames = stream
    splitter = Frames(10_000)
    points = sorted({min(cut, len(whole)) for cut in cuts} | {0, len(whole)})
    out: list[bytes] = []
    for start, end in itertools.pairwise(points):
        out += splitter.feed(whole[start:end])
    rest = splitter.rest()
    assert b"".join([*out, rest]) == whole
    assert out == frames or (out == frames[:-1] and rest == frames[-1])  # a CR at the very end waits for its LF


def test_several_frames_in_one_piece_are_told_apart() -> None:
    assert Frames(100).feed(b"data: 1\n\ndata: 2\n\ndata: 3") == [b"data: 1\n\n", b"data: 2\n\n"]


def test_what_is_left_at_the_end_is_handed_out_once() -> None:
    frames = Frames(100)
    assert frames.feed(b"data: 1") == []
    assert frames.rest() == b"data: 1"
    assert frames.rest() == b""


@pytest.mark.parametrize("piece", [b"data: " + b"x" * 100, b"\r\ndata: " + b"x" * 100])
def test_a_frame_beyond_the_bound_is_refused(piece: bytes) -> None:
    with pytest.raises(FrameTooLarge):
        Frames(100).feed(piece)


@pytest.mark.parametrize(
    ("frame", "data"),
    [
        (b"data: {}\n\n", b"{}"),
        (b"data:{}\n\n", b"{}"),
        (b"data: {}\r\n\r\n", b"{}"),
        (b"event: x\ndata: 1\n\n", b"1"),
        (b"data: 1\ndata: 2\n\n", b"1\n2"),
        (b": ping\n\n", None),
        (b"event: x\n\n", None),
        (b"\n\n", None),
    ],
)
def test_the_data_of_a_frame(frame: bytes, data: bytes | None) -> None:
    assert data_of(frame) == data

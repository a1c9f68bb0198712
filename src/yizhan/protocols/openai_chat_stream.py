"""The stream of a chat completion on its way home: bytes pass untouched, and are looked at for the bill and the end.

Source: OpenAI's API reference, chat completion chunks. The stream is whole only when ``[DONE]`` was seen.
"""

from __future__ import annotations

import msgspec

from yizhan.protocols.counting import TextCount
from yizhan.protocols.openai_chat import DONE
from yizhan.protocols.openai_chat_answer import WireUsage, usage_of
from yizhan.protocols.sse import Frames, FrameTooLarge, data_of
from yizhan.protocols.usage import Usage

_NULL = msgspec.Raw(b"null")


class _Delta(msgspec.Struct):
    content: object = None
    reasoning_content: object = None
    reasoning: object = None
    refusal: object = None
    tool_calls: msgspec.Raw = _NULL


class _Choice(msgspec.Struct):
    delta: _Delta | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: WireUsage | None = None
    error: object = None


_chunk = msgspec.json.Decoder(_Chunk)


class StreamReader:
    """Reads one upstream stream. ``feed`` gives back what may go to the caller.

    ``began``: a good first frame came; until then nothing is given back. ``broken``: the stream is of no use, or an
    error event came. ``done``: the terminal marker came; it is in the bytes that the same ``feed`` gave back.
    """

    __slots__ = ("_frames", "_withhold_usage", "began", "broken", "count", "done", "usage")

    def __init__(self, *, withhold_usage: bool, frame_bytes_max: int) -> None:
        self._frames = Frames(frame_bytes_max)
        self._withhold_usage = withhold_usage  # the station asked for the usage chunk, not the caller
        self.began = False
        self.broken = ""  # why
        self.done = False
        self.usage: Usage | None = None
        self.count = TextCount()

    def feed(self, piece: bytes) -> bytes:
        """Take bytes of the stream; return those to forward. After ``done`` or ``broken`` nothing more comes back."""
        try:
            frames = self._frames.feed(piece)
        except FrameTooLarge:
            self.broken = "an event is larger than the station passes on"
            return b""
        if len(frames) == 1:
            return frames[0] if self._passes(frames[0]) else b""
        return b"".join([frame for frame in frames if self._passes(frame)])

    def end(self) -> bytes:
        """Take the end of the stream's bytes; a last frame may lack its blank line."""
        rest = self._frames.rest()
        if not rest.strip():
            return b""
        rest += b"\n\n"
        return rest if self._passes(rest) else b""

    def _passes(self, frame: bytes) -> bool:
        if self.done or self.broken:
            return False
        data = data_of(frame)
        if data is None:
            return self.began
        if data.startswith(DONE):
            return self._finish()
        try:
            chunk = _chunk.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._unreadable(data)
        if chunk.error:
            return self._fail()
        self.began = True
        choices = chunk.choices
        if choices:
            for choice in choices:
                if choice.delta is not None:
                    self._count(choice.delta)
        if chunk.usage is not None and chunk.usage.prompt_tokens is not None:
            self.usage = usage_of(chunk.usage)
            return bool(choices) or not self._withhold_usage
        return True

    def _finish(self) -> bool:
        if not self.began:
            self.broken = "the stream ended before it began"
            return False
        self.done = True
        return True

    def _fail(self) -> bool:
        """An error event: before the stream began it is ours to deal with, later it is the caller's one error event."""
        self.broken = "the upstream sent an error event"
        return self.began

    def _unreadable(self, data: bytes) -> bool:
        if not self.began:
            self.broken = "the stream does not open with a chat completion chunk"
            return False
        self.count.add(data.decode("utf-8", "replace"))
        return True

    def _count(self, delta: _Delta) -> None:
        count, content = self.count, delta.content
        if type(content) is str:
            if content.isascii():  # as count.add does; a call a chunk is worth saving
                count.ascii += len(content)
            else:
                count.add(content)
        if delta.tool_calls is not _NULL:
            count.add(bytes(delta.tool_calls).decode("utf-8", "replace"))
        if delta.reasoning_content is None and delta.reasoning is None and delta.refusal is None:
            return
        for text in (delta.reasoning_content, delta.reasoning, delta.refusal):
            if type(text) is str:
                count.add(text)

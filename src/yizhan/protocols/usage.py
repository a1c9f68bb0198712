"""What an answer used, counted in classes that never overlap.

Wire formats disagree: OpenAI's ``prompt_tokens`` contain the cached ones, Anthropic's ``input_tokens`` do not. Each
protocol module sorts its own figures into these classes once; nobody above has to know the convention.
"""

from __future__ import annotations

import msgspec


class Usage(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Tokens by class, disjoint: the sum of the fields is the total."""

    input: int = 0  # text (and what the vendor does not tell apart), neither read from nor written to a cache
    cached_input: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    image_input: int = 0
    audio_input: int = 0
    output: int = 0  # what is neither reasoning, image nor audio
    reasoning: int = 0
    image_output: int = 0
    audio_output: int = 0

    @property
    def input_total(self) -> int:
        """All tokens that went in."""
        return (
            self.input
            + self.cached_input
            + self.cache_write_5m
            + self.cache_write_1h
            + self.image_input
            + self.audio_input
        )

    @property
    def output_total(self) -> int:
        """All tokens that came out."""
        return self.output + self.reasoning + self.image_output + self.audio_output


CLASSES: tuple[str, ...] = Usage.__struct_fields__

"""Tokens counted without keeping or tokenizing text: running counts of characters by kind, converted at the end.

Used only where an upstream did not report what it used; such a charge is marked ``estimated``. The weights are the
mean tokens a character of each kind costs in the common byte-pair vocabularies.
"""

from __future__ import annotations

import re

_PER_ASCII = 240  # tokens per thousand characters
_PER_LETTER = 420  # Cyrillic, Greek, Arabic, Hebrew, accented Latin …
_PER_IDEOGRAPH = 720  # Chinese, Japanese, Korean, symbols, emoji

_IDEOGRAPHS = re.compile("[\u2e80-\uffff\U00010000-\U0010ffff]")


class TextCount:
    """Running counts of one text that arrives in pieces."""

    __slots__ = ("ascii", "ideographs", "letters")

    def __init__(self) -> None:
        self.ascii = 0
        self.letters = 0
        self.ideographs = 0

    def add(self, text: str) -> None:
        """Count a piece of text."""
        if text.isascii():
            self.ascii += len(text)
            return
        ideographs = len(_IDEOGRAPHS.findall(text))
        plain = len(text.encode("ascii", "ignore"))
        self.ideographs += ideographs
        self.ascii += plain
        self.letters += len(text) - plain - ideographs

    def tokens(self) -> int:
        """Estimate the tokens of what was counted, rounded up."""
        thousandths = self.ascii * _PER_ASCII + self.letters * _PER_LETTER + self.ideographs * _PER_IDEOGRAPH
        return -(-thousandths // 1000)


def tokens_of(text: str) -> int:
    """Estimate the tokens of a whole text."""
    count = TextCount()
    count.add(text)
    return count.tokens()

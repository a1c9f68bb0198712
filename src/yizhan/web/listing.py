"""Lists in pages: ``data`` and the cursor of the next page."""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar

import msgspec
from litestar.params import QueryParameter

T = TypeVar("T")

PageSize = Annotated[int, QueryParameter(ge=1, le=1000, description="Most entries in the answer")]


class Listing(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One page. ``next`` is None on the last."""

    data: list[T]
    next: str | None = None

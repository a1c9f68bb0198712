"""Whom we can call. Every module here with a ``VENDOR`` is found by its name; nothing lists them by hand."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from yizhan.vendors.vendor import Vendor

__all__ = ["Vendor", "load", "names"]


@cache
def names() -> tuple[str, ...]:
    """List the vendors, in order: module ``openai_compatible`` is vendor ``openai-compatible``."""
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(sorted(name.replace("_", "-") for name in found if _vendor_in(name) is not None))


@cache
def load(name: str) -> Vendor:
    """Get a vendor by its name; raises KeyError when there is no such file."""
    if name not in names():
        raise KeyError(name)
    vendor = _vendor_in(name.replace("-", "_"))
    assert vendor is not None
    return vendor


@cache
def _vendor_in(module: str) -> Vendor | None:
    found = getattr(importlib.import_module(f"{__name__}.{module}"), "VENDOR", None)
    return found if isinstance(found, Vendor) else None

"""Whether the request may be made, and the most it could cost."""

from __future__ import annotations

import msgspec

from yizhan.catalog.entries import Channel, Model, Price
from yizhan.catalog.snapshot import Catalog
from yizhan.config import Settings
from yizhan.errors import ModelNotAllowed, ModelNotFound, Unpriced, UnsupportedField
from yizhan.money import Money
from yizhan.protocols.openai_chat import Wanted
from yizhan.purse.ports import KeyRecord
from yizhan.purse.price import most


class Offer(msgspec.Struct, frozen=True):
    """The terms of one request, fixed when it begins: a later price change does not touch it."""

    channels: tuple[Channel, ...]  # that could serve it, highest priority first
    price: Price
    multiplier_ppm: int
    bound: Money  # held until the real charge is known


def admit(catalog: Catalog, caller: KeyRecord, wanted: Wanted, settings: Settings) -> Offer:
    """Price the dearest way the request could turn out.

    Raises ModelNotFound, ModelNotAllowed, Unpriced, UnsupportedField.
    """
    if caller.models is not None and wanted.model not in caller.models:
        raise ModelNotAllowed(f"this API key may not use the model {wanted.model!r}", param="model")
    terms = catalog.terms(caller.group, wanted.model)
    if not terms.channels:
        if catalog.serves(wanted.model):
            raise ModelNotAllowed(f"your group may not use the model {wanted.model!r}", param="model")
        raise ModelNotFound(f"no model {wanted.model!r} here; GET /v1/models lists them", param="model")
    price, group = terms.price, terms.group
    if price is None:
        raise Unpriced(f"the model {wanted.model!r} has no price yet, so it is not sold", param="model")
    if wanted.audio and price.audio_output is None and not price.free:
        raise UnsupportedField("audio output of this model has no price here", param="modalities")
    if group is None:
        raise ModelNotAllowed(f"the group {caller.group!r} of this API key does not exist any more")
    bound = most(
        input_tokens=_input_bound(terms.model, wanted, settings),
        output_tokens=_output_bound(terms.model, wanted, settings),
        price=price,
        multiplier_ppm=group.multiplier_ppm,
    )
    return Offer(terms.channels, price, group.multiplier_ppm, bound)


def _input_bound(model: Model | None, wanted: Wanted, settings: Settings) -> int:
    """A token has at least one byte, so the text's bytes bound its tokens; media are bounded apiece."""
    window = model.context_tokens if model is not None else None
    return min(wanted.text_bytes + wanted.images * settings.image_tokens_max, window or settings.default_context_tokens)


def _output_bound(model: Model | None, wanted: Wanted, settings: Settings) -> int:
    cap = wanted.output_cap
    if cap is None:
        limit = model.output_tokens_max if model is not None else None
        cap = min(limit or settings.default_output_tokens, settings.default_output_tokens)
    return wanted.choices * cap

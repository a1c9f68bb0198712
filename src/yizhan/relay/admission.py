"""Whether the request may be made, and the most it could cost."""

from __future__ import annotations

import msgspec

from yizhan.catalog.entries import Price
from yizhan.catalog.snapshot import Catalog
from yizhan.config import Settings
from yizhan.errors import ModelNotAllowed, ModelNotFound, Unpriced, UnsupportedField
from yizhan.money import Money
from yizhan.protocols.openai_chat import Wanted
from yizhan.purse.ports import KeyRecord
from yizhan.purse.price import most


class Offer(msgspec.Struct, frozen=True):
    """The terms of one request, fixed when it begins: a later price change does not touch it."""

    price: Price
    multiplier_ppm: int
    bound: Money  # held until the real charge is known


def admit(catalog: Catalog, caller: KeyRecord, wanted: Wanted, settings: Settings) -> Offer:
    """Price the dearest way the request could turn out.

    Raises ModelNotFound, ModelNotAllowed, Unpriced, UnsupportedField.
    """
    if caller.models is not None and wanted.model not in caller.models:
        raise ModelNotAllowed(f"this API key may not use the model {wanted.model!r}", param="model")
    if not catalog.channels_for(caller.group, wanted.model):
        if catalog.serves(wanted.model):
            raise ModelNotAllowed(f"your group may not use the model {wanted.model!r}", param="model")
        raise ModelNotFound(f"no model {wanted.model!r} here; GET /v1/models lists them", param="model")
    price = catalog.snapshot.prices.get(wanted.model)
    if price is None:
        raise Unpriced(f"the model {wanted.model!r} has no price yet, so it is not sold", param="model")
    if wanted.audio and price.audio_output is None and not price.free:
        raise UnsupportedField("audio output of this model has no price here", param="modalities")
    multiplier = _multiplier(catalog, caller.group)
    bound = most(
        input_tokens=_input_bound(catalog, wanted, settings),
        output_tokens=_output_bound(catalog, wanted, settings),
        price=price,
        multiplier_ppm=multiplier,
    )
    return Offer(price, multiplier, bound)


def _multiplier(catalog: Catalog, group: str) -> int:
    found = catalog.snapshot.groups.get(group)
    if found is None:
        raise ModelNotAllowed(f"the group {group!r} of this API key does not exist any more")
    return found.multiplier_ppm


def _input_bound(catalog: Catalog, wanted: Wanted, settings: Settings) -> int:
    """A token has at least one byte, so the text's bytes bound its tokens; media are bounded apiece."""
    model = catalog.snapshot.models.get(wanted.model)
    window = model.context_tokens if model is not None else None
    return min(wanted.text_bytes + wanted.images * settings.image_tokens_max, window or settings.default_context_tokens)


def _output_bound(catalog: Catalog, wanted: Wanted, settings: Settings) -> int:
    cap = wanted.output_cap
    if cap is None:
        model = catalog.snapshot.models.get(wanted.model)
        limit = model.output_tokens_max if model is not None else None
        cap = min(limit or settings.default_output_tokens, settings.default_output_tokens)
    return wanted.choices * cap

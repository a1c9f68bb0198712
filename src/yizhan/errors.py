"""What may go wrong, as nouns. Each has a stable code, a status, and a sentence for the person who reads it.

A protocol module turns one of these into its own wire shape; nobody below the edge formats errors.
"""

from __future__ import annotations

from typing import ClassVar


class StationError(Exception):
    """An error a caller sees. ``str(error)`` is the sentence; it must hold no secret and no internal address."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    kind: ClassVar[str] = "server_error"  # OpenAI's `type`
    retry: ClassVar[bool] = False  # may the same request succeed later?

    def __init__(self, message: str, *, param: str | None = None, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.param = param
        self.retry_after_s = retry_after_s


class InternalError(StationError):
    """A fault of ours; the details are in our log under the request id."""


# -- the request -------------------------------------------------------------------------------------------------------


class BadRequest(StationError):
    """The request cannot be understood."""

    code = "invalid_request"
    status = 400
    kind = "invalid_request_error"


class BadJson(BadRequest):
    """The body is not a JSON object."""

    code = "invalid_json"


class AmbiguousField(BadRequest):
    """A field stands twice, or in a spelling that some upstreams would read as another field."""

    code = "ambiguous_field"


class UnsupportedField(BadRequest):
    """A field whose cost the station cannot bound."""

    code = "unsupported_field"


class UnsupportedCoding(BadRequest):
    """A Content-Encoding the station does not read."""

    code = "unsupported_content_encoding"
    status = 415


class BodyTooLarge(BadRequest):
    """The body is over the limit in the settings."""

    code = "body_too_large"
    status = 413


class RequestTimeout(BadRequest):
    """The caller sent its request too slowly."""

    code = "request_timeout"
    status = 408


class BadHttp(BadRequest):
    """What came is not HTTP/1.1, or could be understood in two ways."""

    code = "bad_http"


class HeadersTooLarge(BadHttp):
    """The start line and headers are over the limits in the settings."""

    code = "headers_too_large"
    status = 431


class CallerGone(BadRequest):
    """The caller left before its request was whole; nobody reads this."""

    code = "caller_gone"
    status = 499


class NoSuchRoute(BadRequest):
    """No route of that path."""

    code = "route_not_found"
    status = 404


class MethodNotAllowed(BadRequest):
    """The path exists, the method does not."""

    code = "method_not_allowed"
    status = 405


class ModelNotFound(BadRequest):
    """No model of that name is served to this caller."""

    code = "model_not_found"
    status = 404


# -- the caller --------------------------------------------------------------------------------------------------------


class MissingKey(StationError):
    """No key came with the request."""

    code = "missing_api_key"
    status = 401
    kind = "authentication_error"


class UnknownKey(MissingKey):
    """No such key."""

    code = "invalid_api_key"


class KeyDisabled(MissingKey):
    """The key, or its owner, was switched off."""

    code = "api_key_disabled"


class KeyExpired(MissingKey):
    """The key is past its expiry."""

    code = "api_key_expired"


class KeyExhausted(StationError):
    """The key's own spending cap is used up."""

    code = "api_key_exhausted"
    status = 402
    kind = "insufficient_quota"


class ModelNotAllowed(StationError):
    """The model exists, but not for this key."""

    code = "model_not_allowed"
    status = 403
    kind = "permission_error"


class InsufficientQuota(StationError):
    """The balance does not cover the most this request could cost."""

    code = "insufficient_quota"
    status = 402
    kind = "insufficient_quota"


# -- an operator's request ---------------------------------------------------------------------------------------------


class NoSuchWallet(StationError):
    """No wallet of that number."""

    code = "wallet_not_found"
    status = 404
    kind = "invalid_request_error"


class ReferenceTaken(StationError):
    """The reference was already posted, with another amount or to another wallet."""

    code = "reference_taken"
    status = 409
    kind = "invalid_request_error"


class NotThatMuch(StationError):
    """The amount cannot be moved: it is not positive, or more than is free in the wallet."""

    code = "amount_refused"
    status = 400
    kind = "invalid_request_error"


# -- the station -------------------------------------------------------------------------------------------------------


class Unpriced(StationError):
    """The model has no price and was not marked free, so it is not sold."""

    code = "model_not_priced"
    status = 503
    kind = "service_unavailable"


class NoChannel(StationError):
    """No channel can serve the model now."""

    code = "no_channel_available"
    status = 503
    kind = "service_unavailable"
    retry = True


class Overloaded(StationError):
    """A bound of the station is reached."""

    code = "station_overloaded"
    status = 503
    kind = "service_unavailable"
    retry = True


class MoneyUnavailable(StationError):
    """Money, or the key's record, cannot be checked right now."""

    code = "accounts_unavailable"
    status = 503
    kind = "service_unavailable"
    retry = True


class DatabaseBusy(StationError):
    """The database did not come free in time; nothing was changed."""

    code = "database_busy"
    status = 503
    kind = "service_unavailable"
    retry = True


class DatabaseGone(StationError):
    """The database cannot be reached, or can no longer write."""

    code = "database_unavailable"
    status = 503
    kind = "service_unavailable"
    retry = True


class Draining(StationError):
    """This process is stopping."""

    code = "station_stopping"
    status = 503
    kind = "service_unavailable"
    retry = True


# -- the upstream ------------------------------------------------------------------------------------------------------


class UpstreamFailed(StationError):
    """Every channel tried failed before an answer began."""

    code = "upstream_failed"
    status = 502
    kind = "upstream_error"
    retry = True


class UpstreamTimeout(UpstreamFailed):
    """No channel tried began to answer in time."""

    code = "upstream_timeout"
    status = 504


class UpstreamTruncated(UpstreamFailed):
    """The upstream's answer broke off after it had begun."""

    code = "upstream_truncated"


class UpstreamBusy(UpstreamFailed):
    """Every channel tried is at its rate limit."""

    code = "upstream_rate_limited"
    status = 429
    kind = "rate_limit_error"


class RefusedByUpstream(BadRequest):
    """The upstream found fault with the request itself; the message is the upstream's."""

    code = "refused_by_upstream"


# -- the back office ---------------------------------------------------------------------------------------------------


class NotSignedIn(StationError):
    """The route is for people who have signed in."""

    code = "not_signed_in"
    status = 401
    kind = "authentication_error"


class SignInFailed(NotSignedIn):
    """Wrong name or password; which of them is not said."""

    code = "sign_in_failed"


class CsrfMissing(StationError):
    """A change asked for with a cookie came without the token that only our own pages know."""

    code = "csrf_token_missing"
    status = 403
    kind = "permission_error"


class NotPermitted(StationError):
    """The route is for people of a higher role."""

    code = "not_permitted"
    status = 403
    kind = "permission_error"


class NotFound(BadRequest):
    """Nothing of that name or id, or nothing this person may know of."""

    code = "not_found"
    status = 404


class AlreadyThere(BadRequest):
    """The name is taken."""

    code = "already_exists"
    status = 409


class TooManyAttempts(StationError):
    """Too many failed sign-ins of one name; later is fine."""

    code = "too_many_attempts"
    status = 429
    kind = "rate_limit_error"
    retry = True


def every_error() -> list[type[StationError]]:
    """List the error classes, parents first; the docs are checked against this."""
    found: list[type[StationError]] = []
    queue: list[type[StationError]] = [StationError]
    while queue:
        noun = queue.pop(0)
        found.append(noun)
        queue.extend(noun.__subclasses__())
    return [noun for noun in found if noun is not StationError]

"""Errors as the back office says them: one JSON shape, the right status, no secret."""

from __future__ import annotations

from typing import Any

import structlog
from litestar import Request, Response
from litestar.exceptions import (
    HTTPException,
    MethodNotAllowedException,
    NotFoundException,
    ValidationException,
)

from yizhan.errors import BadRequest, InternalError, MethodNotAllowed, NoSuchRoute, StationError

Problem = Response[dict[str, object]]
_log = structlog.get_logger("yizhan.control")


def said(error: StationError) -> Problem:
    """Turn an error into its answer."""
    body: dict[str, object] = {"message": str(error), "type": error.kind, "param": error.param, "code": error.code}
    headers = {"retry-after": str(error.retry_after_s)} if error.retry_after_s is not None else {}
    return Response({"error": body}, status_code=error.status, headers=headers, media_type="application/json")


def on_station_error(_: Request[Any, Any, Any], error: StationError) -> Problem:
    """Say one of our own errors."""
    return said(error)


def on_framework_error(request: Request[Any, Any, Any], error: HTTPException) -> Problem:
    """Say what Litestar found wrong before a handler ran."""
    match error:
        case NotFoundException():
            return said(NoSuchRoute(f"There is no {request.method} {request.url.path}."))
        case MethodNotAllowedException():
            return said(MethodNotAllowed(f"{request.url.path} does not answer to {request.method}."))
        case ValidationException():
            return said(_invalid(error))
        case _ if 400 <= error.status_code < 500:
            problem = said(BadRequest(error.detail))
            problem.status_code = error.status_code
            return problem
    return on_fault(request, error)


def on_fault(request: Request[Any, Any, Any], error: Exception) -> Problem:
    """Log a fault of ours and say no more than that there was one."""
    _log.error("fault", method=request.method, path=request.url.path, exc_info=error)
    return said(InternalError("A fault of the station; its log says more."))


def _invalid(error: ValidationException) -> BadRequest:
    extra = error.extra
    if isinstance(extra, list) and extra and isinstance(extra[0], dict):
        key = extra[0].get("key")
        return BadRequest(str(extra[0].get("message", error.detail)), param=str(key) if key else None)
    return BadRequest(error.detail)


HANDLERS: dict[Any, Any] = {
    StationError: on_station_error,
    HTTPException: on_framework_error,
    Exception: on_fault,
}

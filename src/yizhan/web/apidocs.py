"""``/openapi.json``: generated from the routes, with examples, in English or Chinese."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from litestar import Litestar, Router
from litestar.di import Provide
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme, Tag

from yizhan import __version__
from yizhan.web.apidocs_zh import CHINESE
from yizhan.web.apiexamples import ASKED
from yizhan.web.relay_described import relay_router

Schema = dict[str, Any]
TITLE = "Yizhan 驿站"
TAGS = {
    "relay": "What callers use: OpenAI's own routes, with a key of the station.",
    "sessions": "Signing in and out.",
    "users": "Users and their wallets.",
    "keys": "The keys callers send.",
    "channels": "The ways to the upstreams.",
    "prices": "What models cost.",
    "groups": "Price groups: who pays how much of the list price.",
    "models": "What is known of models besides their price.",
    "topups": "Money that comes in.",
    "ledger": "The books.",
    "usage": "What was asked and what it cost.",
}
ERRORS = {
    "400": "The request cannot be understood, or asks for what is not allowed",
    "401": "Not signed in",
    "403": "Your role does not permit it",
}
_ERROR = {"$ref": "#/components/schemas/ErrorAnswer"}
_WORDS = frozenset({"summary", "description"})


def described(admin: Router) -> dict[str, Schema]:
    """Describe the whole public API, by language: ``en`` and ``zh``."""
    config = OpenAPIConfig(
        title=TITLE,
        version=__version__,
        description="One base URL and one key in front of every model vendor.",
        tags=[Tag(name=name, description=text) for name, text in TAGS.items()],
        security=[{"officeToken": []}],
        components=Components(
            security_schemes={
                "callerKey": SecurityScheme(type="http", scheme="bearer", description="A key of the station, `sk-…`."),
                "officeToken": SecurityScheme(
                    type="http", scheme="bearer", description="A session's token from `login`, or the operator's."
                ),
            }
        ),
        use_handler_docstrings=True,
    )
    # An app of its own: never served, it only lets the framework read the routes.
    app = Litestar(
        route_handlers=[relay_router(), admin],
        dependencies={name: Provide(_nobody(), sync_to_thread=False) for name in ("office", "person", "doorkeeper")},
        openapi_config=config,
        logging_config=None,
    )
    schema: Schema = app.openapi_schema.to_schema()
    schema["servers"] = [{"url": "/"}]
    chat = schema["paths"]["/v1/chat/completions"]["post"]["responses"]["200"]["content"]
    chat["text/event-stream"] = {"schema": {"type": "string"}}
    for operation in operations(schema):
        asked = ASKED.get(operation["operationId"])
        if asked is not None:
            operation["requestBody"]["content"]["application/json"]["example"] = asked
        for status, text in (ERRORS if "security" not in operation else {"400": ERRORS["400"]}).items():
            operation["responses"][status] = {"description": text, "content": {"application/json": {"schema": _ERROR}}}
    return {"en": schema, "zh": translated(schema)}


def _nobody() -> Callable[[], None]:
    """Stand in for what handlers are given by the app that serves; each name must have a function of its own."""
    return lambda: None


def operations(schema: Schema) -> list[Schema]:
    """List every operation of a schema."""
    return [operation for path in schema["paths"].values() for operation in path.values() if "responses" in operation]


def words(node: Any) -> list[str]:
    """List every text for people in a schema."""
    found: list[str] = []
    if isinstance(node, dict):
        for name, value in node.items():
            if name in _WORDS and isinstance(value, str):
                found.append(value)
            elif name != "example":
                found += words(value)
    elif isinstance(node, list):
        for value in node:
            found += words(value)
    return found


def translated(schema: Schema) -> Schema:
    """Make the Chinese copy; a text without a translation stays English, which a test does not let happen."""
    copy = deepcopy(schema)
    _translate(copy)
    return copy


def _translate(node: Any) -> None:
    if isinstance(node, dict):
        for name, value in node.items():
            if name in _WORDS and isinstance(value, str):
                node[name] = CHINESE.get(value, value)
            elif name != "example":
                _translate(value)
    elif isinstance(node, list):
        for value in node:
            _translate(value)

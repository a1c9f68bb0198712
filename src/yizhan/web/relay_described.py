"""The relay's routes, as the API reference describes them. The gateway serves them; these handlers never run."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from litestar import Router, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody

TAG = "relay"
Sampling = Annotated[float, msgspec.Meta(ge=0, le=2)]


class ChatMessage(msgspec.Struct, kw_only=True):
    """One turn. ``content`` is text, or a list of parts (text, image_url, input_audio …)."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = None
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None


class ChatRequest(msgspec.Struct, kw_only=True):
    """A chat. Fields not listed here go to the upstream as they are."""

    model: str
    messages: list[ChatMessage]
    stream: bool = False
    stream_options: dict[str, Any] | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: Sampling | None = None
    top_p: float | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None
    seed: int | None = None
    user: str | None = None


class Choice(msgspec.Struct, kw_only=True):
    """One answer."""

    index: int
    message: ChatMessage
    finish_reason: str | None


class TokenUsage(msgspec.Struct, kw_only=True):
    """What the answer used, as the upstream reported it; the bill follows it."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: dict[str, int] | None = None
    completion_tokens_details: dict[str, int] | None = None


class ChatAnswer(msgspec.Struct, kw_only=True):
    """A finished chat; with ``stream`` the same comes in pieces, as server-sent events that end with ``[DONE]``."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[Choice]
    usage: TokenUsage | None = None


class ServedModel(msgspec.Struct, kw_only=True):
    """A model your key is served."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ServedModels(msgspec.Struct, kw_only=True):
    """All models your key is served."""

    object: Literal["list"]
    data: list[ServedModel]


class ErrorDetail(msgspec.Struct, kw_only=True):
    """What went wrong. ``code`` is stable; ``message`` is for people."""

    message: str
    type: str
    param: str | None
    code: str


class ErrorAnswer(msgspec.Struct, kw_only=True):
    """Every error of the station."""

    error: ErrorDetail


class Health(msgspec.Struct, kw_only=True):
    """How the process is."""

    status: str


ERRORS = {
    401: ResponseSpec(ErrorAnswer, description="No key, or not a valid one", generate_examples=False),
    402: ResponseSpec(ErrorAnswer, description="The balance does not cover it", generate_examples=False),
    404: ResponseSpec(ErrorAnswer, description="Nothing of that name", generate_examples=False),
    503: ResponseSpec(ErrorAnswer, description="Not now; the same request may succeed later", generate_examples=False),
}
KEY: list[dict[str, list[str]]] = [{"callerKey": []}]
OPEN = {"role": "public"}


@post(
    "/v1/chat/completions",
    opt=OPEN,
    tags=[TAG],
    summary="Chat",
    operation_id="chat_completions",
    status_code=200,
    security=KEY,
    responses=ERRORS,
    sync_to_thread=False,
)
def chat(data: JSONBody[ChatRequest]) -> ChatAnswer:
    """Answer a chat, whole or as a stream. OpenAI's own SDKs work with `base_url` and `api_key` changed."""
    raise NotImplementedError


@get(
    "/v1/models",
    opt=OPEN,
    tags=[TAG],
    summary="List the models you are served",
    operation_id="models",
    security=KEY,
    responses={401: ERRORS[401]},
    sync_to_thread=False,
)
def models() -> ServedModels:
    """List the models of your key's group that have a channel and a price."""
    raise NotImplementedError


@get(
    "/v1/models/{model_id:str}",
    opt=OPEN,
    tags=[TAG],
    summary="Show one model",
    operation_id="model",
    security=KEY,
    responses={401: ERRORS[401], 404: ERRORS[404]},
    sync_to_thread=False,
)
def model(model_id: FromPath[str]) -> ServedModel:
    """Show a model your key is served."""
    raise NotImplementedError


@get(
    "/healthz", opt=OPEN, tags=[TAG], summary="Is it alive", operation_id="healthz", security=[{}], sync_to_thread=False
)
def healthz() -> Health:
    """Answer 200 as long as the process runs."""
    raise NotImplementedError


@get(
    "/readyz", opt=OPEN, tags=[TAG], summary="Can it serve", operation_id="readyz", security=[{}], sync_to_thread=False
)
def readyz() -> Health:
    """Answer 200 once the catalog is there and money can be checked, else 503."""
    raise NotImplementedError


def relay_router() -> Router:
    """Every route of the relay."""
    return Router(path="/", route_handlers=[chat, models, model, healthz, readyz])

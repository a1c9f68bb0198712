"""The pretend vendor, called by the official SDK: what it says must be what OpenAI's own client understands."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from yizhan.clock import SetClock
from yizhan.vendors.pretending.server import PretendServer


def run(story: Callable[[PretendServer, AsyncOpenAI], Awaitable[None]], **options: Any) -> None:
    """Tell a story with a server and a client of its own."""

    async def told() -> None:
        async with (
            PretendServer(clock=SetClock(), **options) as server,
            AsyncOpenAI(base_url=f"{server.url}/v1", api_key="sk-any", max_retries=0, timeout=10) as client,
        ):
            await story(server, client)

    asyncio.run(told())


async def ask(client: AsyncOpenAI, text: str = "Write a line.", **fields: Any) -> ChatCompletion:
    fields.setdefault("model", "pretend")
    answer = await client.chat.completions.create(messages=[{"role": "user", "content": text}], **fields)
    assert isinstance(answer, ChatCompletion)
    return answer


async def stream(client: AsyncOpenAI, text: str = "Write a line.", **fields: Any) -> list[ChatCompletionChunk]:
    fields.setdefault("model", "pretend")
    chunks: list[ChatCompletionChunk] = []
    await listen(client, chunks, text, **fields)
    return chunks


async def listen(client: AsyncOpenAI, chunks: list[ChatCompletionChunk], text: str, **fields: Any) -> None:
    """Stream into the list, which keeps what came before an error."""
    answer = await client.chat.completions.create(messages=[{"role": "user", "content": text}], stream=True, **fields)
    async for chunk in answer:
        chunks.append(chunk)  # noqa: PERF401 - a comprehension loses what came before an error


async def count(server: PretendServer) -> dict[str, Any]:
    async with httpx.AsyncClient() as http:
        found: dict[str, Any] = (await http.get(f"{server.url}/_pretend/count")).json()
        return found


async def order(server: PretendServer, **orders: Any) -> None:
    async with httpx.AsyncClient() as http:
        (await http.post(f"{server.url}/_pretend/script", json=orders)).raise_for_status()


def test_a_plain_answer_has_words_and_the_usage_it_counted() -> None:
    async def story(server: PretendServer, client: AsyncOpenAI) -> None:
        answer = await ask(client, "12345678", user="a-1")
        assert answer.choices[0].finish_reason == "stop"
        assert answer.usage is not None
        assert len((answer.choices[0].message.content or "").split()) == answer.usage.completion_tokens == 16
        assert answer.usage.prompt_tokens == 2 + 3
        seen = (await count(server))["requests"]["a-1"]
        assert (seen["started"], seen["finished"], seen["tokens_sent"]) == (1, 1, 16)

    run(story)


def test_a_stream_carries_the_words_of_the_plain_answer_and_the_usage_only_when_asked() -> None:
    async def story(server: PretendServer, client: AsyncOpenAI) -> None:
        plain = await ask(client)
        quiet = await stream(client)
        told = await stream(client, stream_options={"include_usage": True})
        for chunks in (quiet, told):
            said = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
            assert said == plain.choices[0].message.content
        assert all(chunk.usage is None for chunk in quiet)
        assert told[-1].choices == []
        assert told[-1].usage == plain.usage

    run(story)


def test_the_same_seed_says_the_same_and_another_seed_does_not() -> None:
    said: list[str | None] = []

    async def story(server: PretendServer, client: AsyncOpenAI) -> None:
        said.append((await ask(client)).choices[0].message.content)

    for seed in (1, 1, 2):
        run(story, seed=seed)
    assert said[0] == said[1] != said[2]


def test_max_tokens_cuts_the_answer_and_says_so() -> None:
    async def story(server: PretendServer, client: AsyncOpenAI) -> None:
        answer = await ask(client, max_tokens=5, n=2)
        assert [choice.finish_reason for choice in answer.choices] == ["length", "length"]
        assert answer.usage is not None
        assert answer.usage.completion_tokens == 10

    run(story)


def test_a_line_in_the_message_sets_the_options() -> None:
    async def story(server: PretendServer, client: AsyncOpenAI) -> None:
        answer = await ask(client, "hello\npretend: tokens=3 prompt_tokens=100 cached=40 reasoning=2 id=mine")
        assert answer.usage is not None
        assert answer.usage.prompt_tokens_details is not None
        assert answer.usage.completion_tokens_details is not None
        assert (answer.usage.prompt_tokens, answer.usage.prompt_tokens_details.cached_tokens) == (100, 40)
        assert (answer.usage.completion_tokens, answer.usage.completion_tokens_details.reasoning_tokens) == (3, 2)
        assert (await count(server))["requests"]["mine"]["prompt_tokens"] == 100

    run(story)


@pytest.mark.parametrize("line", ["tokens=many", "colour=red", "fault=flood", "tokens"])
def test_an_option_it_does_not_know_is_a_400(line: str) -> None:
    async def story(server: PretendServer, client: AsyncOpenAI) -> None:
        with pytest.raises(openai.BadRequestError, match="pretend"):
            await ask(client, f"pretend: {line}")
        assert (await count(server))["total"]["started"] == 0

    run(story)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, openai.AuthenticationError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
def test_an_ordered_status_is_the_error_the_sdk_knows(status: int, error: type[openai.APIStatusError]) -> None:
    async def story(server: PretendServer, client: AsyncOpenAI) -> None:
        with pytest.raises(error) as caught:
            await ask(client, "pretend: retry_after=7", model=f"pretend-status-{status}")
        assert caught.value.response.headers["retry-after"] == "7"
        assert (await count(server))["total"]["failed"] == 1

    run(story)


@pytest.mark.parametrize("fault", ["reset", "reset_after:0", "garbage", "cut:0", "empty", "truncate:2", "stall:0"])
def test_a_fault_in_a_plain_answer_never_looks_like_an_answer(fault: str) -> None:
    async def story(server: PretendServer, client: AsyncOpenAI) -> None:
        with pytest.raises((openai.APIConnectionError, json.JSONDecodeError)):
            await ask(client.with_options(timeout=0.3), model=f"pretend-fault-{fault}")
        total = (await count(server))["total"]
        assert (total["started"], total["finished"], total["broken"] + total["abandoned"]) == (1, 0, 1)

    run(story)


@pytest.mark.parametrize("fault", ["reset_after:3", "cut:3", "stall:3"])
def test_a_fault_in_a_stream_comes_after_the_frames_it_was_ordered_for(fault: str) -> None:
    async def story(server: PretendServer, client: AsyncOpenAI) -> None:
        chunks: list[ChatCompletionChunk] = []
        with pytest.raises((openai.APIConnectionError, httpx.TransportError)):
            await listen(client.with_options(timeout=0.3), chunks, "hi", model=f"pretend-fault-{fault}")
        assert len(chunks) == 3
        assert (await count(server))["total"]["tokens_sent"] == 2

    run(story)


def test_a_truncated_stream_ends_well_but_without_its_last_marker() -> None:
    async def story(server: PretendServer, client: AsyncOpenAI) -> None:
        async with httpx.AsyncClient() as http:
            body = {"model": "pretend-fault-truncate:2", "stream": True, "messages": [{"role": "user", "content": "x"}]}
            answer = await http.post(f"{server.url}/v1/chat/completions", json=body)
        assert answer.status_code == 200
        assert answer.text.count("data: ") == 2
        assert "[DONE]" not in answer.text

    run(story)


@pytest.mark.parametrize("at", [0, 2])
def test_an_error_inside_a_stream_is_raised_by_the_sdk(at: int) -> None:
    async def story(server: PretendServer, client: AsyncOpenAI) -> None:
        with pytest.raises(openai.APIError, match="an error inside a stream"):
            await stream(client, model=f"pretend-fault-error:{at}")

    run(story)


@pytest.mark.parametrize("fault", ["error", "not_json", "empty"])
def test_a_bad_200_has_no_choices(fault: str) -> None:
    async def story(server: PretendServer, client: AsyncOpenAI) -> None:
        async with httpx.AsyncClient() as http:
            body = {"model": f"pretend-fault-{fault}", "messages": [{"role": "user", "content": "x"}]}
            answer = await http.post(f"{server.url}/v1/chat/completions", json=body)
        assert answer.status_code == 200
        assert "choices" not in answer.text

    run(story)


def test_a_length_too_short_leaves_bytes_after_the_answer() -> None:
    async def story(server: PretendServer, client: AsyncOpenAI) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        body = b'{"model":"pretend-fault-short_length","messages":[{"role":"user","content":"x"}]}'
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        head, _, sent = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        assert len(sent) in (2 * length, 2 * length + 1)

    run(story)


def test_a_huge_frame_is_as_large_as_ordered() -> None:
    async def story(server: PretendServer, client: AsyncOpenAI) -> None:
        chunks = await stream(client, model="pretend-fault-huge:300000")
        assert max(len(c.choices[0].delta.content or "") for c in chunks) == 300_000

    run(story)


@pytest.mark.parametrize("mode", ["none", "inflated"])
def test_the_usage_can_be_absent_or_too_high_and_the_count_stays_true(mode: str) -> None:
    async def story(server: PretendServer, client: AsyncOpenAI) -> None:
        answer = await ask(client, f"pretend: usage={mode} tokens=4 id=u")
        reported = None if answer.usage is None else answer.usage.completion_tokens
        assert reported == {"none": None, "inflated": 4000}[mode]
        assert (await count(server))["requests"]["u"]["completion_tokens"] == 4

    run(story)


def test_orders_wait_in_a_queue_for_one_request_each() -> None:
    async def story(server: PretendServer, client: AsyncOpenAI) -> None:
        await order(server, queue=["status=500", "tokens=2"])
        with pytest.raises(openai.InternalServerError):
            await ask(client)
        lengths = [len((await ask(client)).choices[0].message.content or "") for _ in range(2)]
        assert lengths[0] < lengths[1]

    run(story)


def test_a_mix_fails_the_same_requests_for_the_same_seed() -> None:
    async def statuses(server: PretendServer, seed: int) -> list[int]:
        await order(server, mix=[(0.5, "status=500")], seed=seed)
        body = {"model": "pretend", "messages": [{"role": "user", "content": "x"}]}
        async with httpx.AsyncClient() as http:
            url = f"{server.url}/v1/chat/completions"
            return [(await http.post(url, json=body)).status_code for _ in range(40)]

    async def story(server: PretendServer, client: AsyncOpenAI) -> None:
        first = await statuses(server, 1)
        assert first == await statuses(server, 1) != await statuses(server, 2)
        assert 5 < first.count(500) < 35

    run(story)


def test_orders_can_be_for_one_model_only_and_reset_forgets_them() -> None:
    async def story(server: PretendServer, client: AsyncOpenAI) -> None:
        await order(server, models={"pretend-small": "status=503"})
        await ask(client)
        with pytest.raises(openai.InternalServerError):
            await ask(client, model="pretend-small")
        async with httpx.AsyncClient() as http:
            await http.post(f"{server.url}/_pretend/reset")
        await ask(client, model="pretend-small")
        assert (await count(server))["total"]["started"] == 1

    run(story)


def test_refused_connections_are_reset_at_once() -> None:
    async def story(server: PretendServer, client: AsyncOpenAI) -> None:
        await order(server, refuse=2)
        for _ in range(2):
            with pytest.raises(openai.APIConnectionError):
                await ask(client)
        await ask(client)

    run(story)


def test_a_caller_who_leaves_is_counted_as_having_left() -> None:
    async def story(server: PretendServer, client: AsyncOpenAI) -> None:
        answer = await client.chat.completions.create(
            model="pretend",
            messages=[{"role": "user", "content": "pretend: chunk_ms=20 tokens=500 id=gone"}],
            stream=True,
        )
        async for chunk in answer:
            if chunk.choices[0].delta.content:
                break
        await answer.close()
        async with asyncio.timeout(5):
            while (seen := (await count(server))["requests"]["gone"])["abandoned"] == 0:
                pass
        assert 1 <= seen["tokens_sent"] < 500
        assert seen["finished"] == 0

    run(story)


def test_a_key_may_be_demanded() -> None:
    async def story(server: PretendServer, client: AsyncOpenAI) -> None:
        with pytest.raises(openai.AuthenticationError):
            await ask(client)
        await ask(client.with_options(api_key="sk-right"))
        models = await client.with_options(api_key="sk-right").models.list()
        assert models.data[0].id == "pretend"

    run(story, key="sk-right")


def test_chunked_requests_and_several_in_one_packet_are_read() -> None:
    async def story(server: PretendServer, client: AsyncOpenAI) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        body = b'{"model":"pretend","messages":[{"role":"user","content":"x"}]}'
        start = b"POST /v1/chat/completions HTTP/1.1\r\n"
        chunked = start + b"Transfer-Encoding: chunked\r\n\r\n5\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n"
        first = chunked % (body[:5], len(body) - 5, body[5:])
        last = start + b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        writer.write(first + first + last)
        assert (await reader.read()).count(b'"chat.completion"') == 3
        writer.close()

    run(story)


@pytest.mark.parametrize(
    "junk", [b"hello\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"GET / HTTP/1.1\r\ncontent-length: -1\r\n\r\n"]
)
def test_junk_is_refused_and_the_server_goes_on(junk: bytes) -> None:
    async def story(server: PretendServer, client: AsyncOpenAI) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(junk)
        assert (await reader.read()).startswith(b"HTTP/1.1 400")
        writer.close()
        await ask(client)

    run(story)


@pytest.mark.parametrize("body", [b'{"a":' * 5000, b"[" * 100_000, b"\xff", b"{}", b'{"model":"x","messages":[]}'])
def test_a_body_that_is_no_chat_is_a_400_and_the_server_goes_on(body: bytes) -> None:
    async def story(server: PretendServer, client: AsyncOpenAI) -> None:
        async with httpx.AsyncClient() as http:
            answer = await http.post(f"{server.url}/v1/chat/completions", content=body)
        assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
        await ask(client)

    run(story)

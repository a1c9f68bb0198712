"""Pages without a session: the landing page, the API's description, and its reference with online debugging."""

from __future__ import annotations

import gzip
import html
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import msgspec
from litestar import MediaType, Request, Response, Router, get
from litestar.params import FromPath, QueryParameter

from yizhan.errors import BadRequest, NotFound
from yizhan.web.access import PUBLIC
from yizhan.web.given import GivenOffice
from yizhan.web.office import Office

STATIC = Path(__file__).parent / "static"
SCALAR = "scalar/api-reference-1.72.1.js"
FILES = {SCALAR: "text/javascript; charset=utf-8", "docs.js": "text/javascript; charset=utf-8"}
_YEAR = "public, max-age=31536000, immutable"

# The reference may talk to this origin and to nobody else. Styles are inline because the bundle writes them itself.
DOCS_POLICY = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
    "img-src 'self' data: blob:; font-src 'self' data:; media-src data: blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
PAGE_POLICY = (
    "default-src 'none'; img-src data:; style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
Language = Annotated[str, QueryParameter(description="`en` or `zh`", pattern="^(en|zh)$")]

_HEAD = (
    '<!doctype html><html lang="{lang}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
)

LANDING = (
    _HEAD
    + """<link rel="icon" href="data:,"><title>Yizhan 驿站</title><style nonce="{nonce}">
body{{font:16px/1.6 system-ui,sans-serif;max-width:40rem;margin:12vh auto;padding:0 1rem}}
code{{background:#8882;padding:.1em .3em}}:root{{color-scheme:light dark}}</style></head><body>
<h1>Yizhan 驿站</h1><p>One base URL and one key in front of every model vendor.<br>
一个地址、一把密钥，连通所有模型厂商。</p>
<p>Base URL · 接口地址：<code>{base}/v1</code></p>
<p><a href="/docs/api">API reference</a> · <a href="/docs/api?lang=zh">接口文档与在线调试</a> ·
<a href="/openapi.json">openapi.json</a></p></body></html>"""
)

DOCS = (
    _HEAD
    + """<link rel="icon" href="data:,"><title>{title}</title>
<meta property="csp-nonce" nonce="{nonce}" content="{nonce}"></head><body>
<div id="reference" data-lang="{lang}"></div>
<script nonce="{nonce}" src="/static/{scalar}"></script><script nonce="{nonce}" src="/static/docs.js"></script>
</body></html>"""
)


def pages(describe: Callable[[], dict[str, dict[str, Any]]]) -> Router:
    """Make the routes; ``describe`` makes the API's description by language, when it is first asked for."""

    @cache
    def encoded() -> dict[str, bytes]:
        return {lang: msgspec.json.encode(schema) for lang, schema in describe().items()}

    @get("/openapi.json", opt=PUBLIC, sync_to_thread=True)
    def openapi(lang: Language = "en") -> Response[bytes]:
        return Response(encoded()[lang], media_type=MediaType.JSON, headers={"cache-control": "no-cache"})

    return Router(path="/", route_handlers=[landing, docs, static, openapi])


@get("/", opt=PUBLIC, sync_to_thread=False)
def landing(request: Request[Any, Any, Any], office: GivenOffice) -> Response[str]:
    """Say what this is and where to go on."""
    base = office.settings.public_url.rstrip("/") or str(request.base_url).rstrip("/")
    return _page(LANDING, PAGE_POLICY, office, lang="en", base=html.escape(base))


@get("/docs/api", opt=PUBLIC, sync_to_thread=False)
def docs(office: GivenOffice, lang: Language = "en") -> Response[str]:
    """Show the API reference, in which requests can be tried."""
    title = "接口文档 · 驿站" if lang == "zh" else "API reference · Yizhan"
    return _page(DOCS, DOCS_POLICY, office, lang=lang, title=title, scalar=SCALAR)


@get("/static/{name:path}", opt=PUBLIC, sync_to_thread=True)
def static(name: FromPath[str], request: Request[Any, Any, Any]) -> Response[bytes]:
    """Give one of the files of our own pages; only those that are listed."""
    name = name.removeprefix("/")
    if name not in FILES:
        raise NotFound("There is no such file.")
    headers = {"cache-control": _YEAR if name == SCALAR else "no-cache", "x-content-type-options": "nosniff"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers |= {"content-encoding": "gzip", "vary": "accept-encoding"}
        return Response(_packed(name), media_type=FILES[name], headers=headers)
    return Response((STATIC / name).read_bytes(), media_type=FILES[name], headers=headers)


@cache
def _packed(name: str) -> bytes:
    return gzip.compress((STATIC / name).read_bytes(), 6, mtime=0)


def _page(template: str, policy: str, office: Office, **words: str) -> Response[str]:
    if words["lang"] not in {"en", "zh"}:
        raise BadRequest("`lang` is en or zh.", param="lang")
    nonce = office.random(16).hex()
    headers = {
        "content-security-policy": policy.format(nonce=nonce),
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
    }
    return Response(template.format(nonce=nonce, **words), media_type=MediaType.HTML, headers=headers)

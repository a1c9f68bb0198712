"""OpenAI itself. Source: platform.openai.com/docs/api-reference."""

from yizhan.vendors.vendor import Vendor

VENDOR = Vendor(
    name="openai",
    title="OpenAI",
    base_url="https://api.openai.com/v1",
    speaks={"openai_chat": "/chat/completions"},
    docs_url="https://platform.openai.com/docs/api-reference",
)

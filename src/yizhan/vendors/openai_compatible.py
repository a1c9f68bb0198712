"""Any server that speaks OpenAI's Chat Completions: vLLM, llama.cpp, another gateway."""

from yizhan.vendors.vendor import Vendor

VENDOR = Vendor(
    name="openai-compatible",
    title="OpenAI-compatible server",
    speaks={"openai_chat": "/chat/completions"},
)

"""An example of what each operation is asked, by operation id."""

from __future__ import annotations

from typing import Any

ASKED: dict[str, dict[str, Any]] = {
    "chat_completions": {
        "model": "smollm2-135m",
        "messages": [{"role": "user", "content": "Say hello in five words."}],
        "stream": True,
    },
    "login": {"name": "admin", "password": "correct horse battery staple"},
    "add_user": {"name": "alice", "role": "user", "group": "default"},
    "change_user": {"status": "disabled"},
    "add_key": {"title": "laptop"},
    "change_key": {"status": "disabled"},
    "add_channel": {
        "name": "openai-1",
        "vendor": "openai",
        "base_url": "https://api.openai.com/v1",
        "keys": ["sk-…"],
        "models": ["gpt-4o-mini"],
        "priority": 10,
        "weight": 1,
    },
    "change_channel": {"enabled": False},
    "set_price": {"usd_per_mtok": {"input": "0.15", "output": "0.60", "cached_input": "0.075"}},
    "set_group": {"multiplier_ppm": 900_000, "note": "ten per cent off"},
    "set_model": {"context_tokens": 128_000, "output_tokens_max": 16_384},
    "add_topup": {"user": "alice", "usd": "5", "source": "payment", "reference": "invoice-1001"},
}

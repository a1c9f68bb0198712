"""The texts of the API reference in Chinese, by their English original."""

CHINESE: dict[str, str] = {}

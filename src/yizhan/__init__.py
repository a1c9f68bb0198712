"""Yizhan 驿站: an AI API relay station."""

__version__ = "0.1.0"

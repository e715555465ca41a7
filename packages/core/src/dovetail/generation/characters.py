"""Ranges of characters that are written without spaces between words."""

from __future__ import annotations

# CJK Unified Ideographs with extensions A to E, and compatibility ideographs (Unicode 15, blocks
# file).
CJK_RANGES = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip


def is_cjk(codepoint: int) -> bool:
    """Whether `codepoint` is a Chinese, Japanese or Korean ideograph."""
    return codepoint >= 0x3400 and any(first <= codepoint <= last for first, last in CJK_RANGES)

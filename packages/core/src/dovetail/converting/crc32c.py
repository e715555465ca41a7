"""The checksum CRC-32C (Castagnoli), computed for many pieces of the data at once by numpy."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]

POLYNOMIAL = 0x82F63B78
ALL_ONES = 0xFFFFFFFF
PIECE = 64
"""Bytes which are gone through one after another, in all pieces at the same time."""
BLOCK = 2**24
"""Bytes that are cut into pieces at a time, to bound memory."""


@cache
def _table() -> Words:
    values = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        values = np.where(values & 1, (values >> 1) ^ np.uint32(POLYNOMIAL), values >> 1)
    return values


def _advanced(states: Words, data: NDArray[np.uint8]) -> Words:
    """Registers after a byte each."""
    return _table()[(states ^ data) & 0xFF] ^ (states >> 8)


@cache
def _skip(doublings: int) -> Words:
    """What ``PIECE * 2**doublings`` bytes of zero make of each bit of a register."""
    if doublings:
        return _skipped(_skip(doublings - 1), doublings - 1)
    bits = np.left_shift(np.uint32(1), np.arange(32, dtype=np.uint32))
    for _ in range(PIECE):
        bits = _advanced(bits, np.zeros(32, np.uint8))
    return bits


def _skipped(states: Words, doublings: int) -> Words:
    result = np.zeros_like(states)
    for bit, effect in enumerate(_skip(doublings)):
        result ^= np.where((states >> np.uint32(bit)) & 1, effect, np.uint32(0))
    return result


def crc32c(data: memoryview | bytes) -> int:
    """The checksum of `data`."""
    content = np.frombuffer(data, np.uint8)
    register = ALL_ONES
    whole = len(content) - len(content) % PIECE
    for start in range(0, whole, BLOCK):
        register = _block(content[start : min(start + BLOCK, whole)].reshape(-1, PIECE), register)
    table = _table()
    for byte in content[whole:].tolist():
        register = int(table[(register ^ byte) & 0xFF]) ^ (register >> 8)
    return register ^ ALL_ONES


def _block(pieces: NDArray[np.uint8], register: int) -> int:
    """The register after all pieces, which are joined two by two."""
    states = np.zeros(len(pieces), np.uint32)
    states[0] = register
    for column in pieces.T:
        states = _advanced(states, column)
    doublings = 0
    while len(states) > 1:
        if len(states) % 2:  # a register of zero in front changes nothing
            states = np.concatenate([np.zeros(1, np.uint32), states])
        states = _skipped(states[0::2], doublings) ^ states[1::2]
        doublings += 1
    return int(states[0])

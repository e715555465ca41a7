"""Flax's checkpoints: messages as other programs write them, damaged ones, and those of others."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
import torch

from dovetail.converting import FlaxFiles, Original, Source
from dovetail.converting.storage import OtherLayoutError
from dovetail.errors import CheckpointError
from dovetail.weights import MemoryTensor

STORAGE = FlaxFiles(roots=(("optimizer", "target"), ("params",)))


def text(value: str) -> bytes:
    return bytes([0xA0 | len(value)]) + value.encode()


def array(values: Any, dtype: str, form: str, shape: tuple[int, ...], kind: int = 1) -> bytes:
    """An array in the shortest form, as the msgpack package packs it."""
    data = struct.pack(f"<{len(values)}{form}", *values)
    inner = b"\x93" + bytes([0x90 | len(shape), *shape]) + text(dtype)
    inner += b"\xc4" + bytes([len(data)]) + data
    fixed = {1: 0xD4, 2: 0xD5, 4: 0xD6, 8: 0xD7, 16: 0xD8}.get(len(inner))
    head = bytes([0xC7, len(inner)]) if fixed is None else bytes([fixed])
    return head + struct.pack(">b", kind) + inner


def written(folder: Path, content: bytes, name: str = "checkpoint_7") -> Source:
    (folder / name).write_bytes(content)
    return Source.of(folder)


LEAVES = (
    b"\x84"
    + (text("kernel") + array([1.0, 2.0, 3.0, 4.0], "float32", "f", (2, 2)))
    + (text("half") + array([0x3F80], "bfloat16", "H", (1,)))
    + (text("step") + array([5], "int64", "q", (), kind=3))
    + (text("note") + b"\x92\xc0\xd9\x01x")
)


def test_messages_of_other_programs(tmp_path: Path):
    state = text("state") + b"\x83\x01\xcd\x01\x00\xff\xcb" + struct.pack(">d", 0.5)
    tree = b"\x82" + state + b"\xc3\xc2" + text("target") + b"\x81" + text("layer.0") + LEAVES
    source = written(tmp_path, b"\xde\x00\x01" + text("optimizer") + tree)
    assert len(STORAGE.find(source)) == 1
    tensors = {name: t.get() for name, t in STORAGE.read(source).tensors.items()}
    assert list(tensors) == ["layer.0/kernel", "layer.0/half", "layer.0/step"]
    assert tensors["layer.0/kernel"].tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert tensors["layer.0/half"].dtype == torch.bfloat16
    assert (tensors["layer.0/half"].item(), tensors["layer.0/step"].item()) == (1.0, 5)


def test_there_and_back(tmp_path: Path):
    tensors = {
        "a/b.0/kernel": torch.randn(3, 0, 2),
        "a/b.0/bias": torch.randn(70000),
        "c": torch.tensor(3, dtype=torch.int32),
        "d/e": torch.ones(5, dtype=torch.bfloat16),
    }
    STORAGE.write(tmp_path, Original({n: MemoryTensor(t) for n, t in tensors.items()}))
    back = STORAGE.read(Source.of(tmp_path)).tensors
    assert set(back) == set(tensors)
    for name, tensor in tensors.items():
        assert back[name].dtype == tensor.dtype
        assert torch.equal(back[name].get(), tensor)
    with pytest.raises(CheckpointError, match="one file"):
        STORAGE.write(tmp_path, Original({}), shards=2)


def test_every_cut_is_noticed(tmp_path: Path):
    content = b"\x81" + text("params") + LEAVES
    assert len(STORAGE.read(written(tmp_path, content)).tensors) == 3
    for length in range(1, len(content)):
        with pytest.raises(CheckpointError, match="damaged"):
            STORAGE.read(written(tmp_path, content[:length]))


@pytest.mark.parametrize(
    "value",
    [
        b"\xc1",
        array([1.0], "nonsense", "f", (1,)),
        array([1.0], "nn", "f", (1,)),
        array([1.0], "float32", "f", (3,)),
        array([1.0], "float64", "f", (1,)),
        b"\x81" + text("a"),
        b"\x81\xa1\xff\x01",
        b"\x91" * 80 + b"\x01",
        b"\x81\x90\x01",
    ],
)
def test_what_is_no_tree_of_arrays_is_refused(value: bytes, tmp_path: Path):
    with pytest.raises(CheckpointError, match="damaged"):
        STORAGE.read(written(tmp_path, b"\x81" + text("params") + value))


def test_other_trees_and_files_are_told_apart(tmp_path: Path):
    for content in (b"\x81" + text("other") + LEAVES, b"\x81" + text("params") + b"\x01"):
        with pytest.raises(OtherLayoutError, match="optimizer/target or params"):
            STORAGE.read(written(tmp_path, content))
    (tmp_path / "checkpoint_7").unlink()
    assert STORAGE.find(written(tmp_path, b"\x81\x01\x01", "model.pt")) == []
    assert STORAGE.find(written(tmp_path, b"A licence", "LICENSE")) == []
    assert STORAGE.find(written(tmp_path, b"", "empty")) == []
    assert len(STORAGE.find(written(tmp_path, b"\x80", "flax.msgpack"))) == 1

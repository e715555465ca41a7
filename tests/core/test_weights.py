"""Reading weights files: what is in them, and what is refused."""

from __future__ import annotations

import contextlib
import json
import pickle
import struct
import time
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from dovetail.errors import CheckpointError
from dovetail.weights import (
    DTYPES,
    SafetensorsFile,
    has_nan,
    open_checkpoint,
    read_header,
    read_pickled,
    read_tensors,
)


def write(path: Path, header: Any, data: bytes = b"", length: int | None = None) -> Path:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw) if length is None else length) + raw + data)
    return path


def entry(begin: int = 0, end: int = 8, shape: Any = (2,), dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


DAMAGED = {
    "header longer than file": ({"a": entry()}, b"\0" * 8, 10**6, "truncated or damaged"),
    "absurd header length": ({"a": entry()}, b"\0" * 8, 2**63, "truncated or damaged"),
    "no JSON": (b"{not json}", b"", None, "not valid JSON"),
    "JSON nested too deep": (b"{" + b'"a":{' * 9999 + b"}" * 10000, b"", None, "nests"),
    "twice the same name": (
        b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
        b'"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
        b"\0",
        None,
        "appears twice",
    ),
    "metadata no object": ({"__metadata__": 3}, b"", None, "metadata"),
    "data cut off": ({"a": entry()}, b"\0" * 4, None, "truncated"),
    "data left over": ({"a": entry()}, b"\0" * 12, None, "damaged"),
    "overlap": ({"a": entry(), "b": entry(4, 12)}, b"\0" * 12, None, "'b'.*overlaps"),
    "gap": ({"a": entry(), "b": entry(12, 20)}, b"\0" * 20, None, "'b'.*unused bytes"),
    "backwards": ({"a": entry(8, 0)}, b"\0" * 8, None, "'a'"),
    "negative offset": ({"a": entry(-8, 0)}, b"", None, "'a'.*offsets"),
    "wrong size": ({"a": entry(shape=(3,))}, b"\0" * 8, None, "needs 12 bytes"),
    "absurd shape": ({"a": entry(shape=(2**62, 2**62))}, b"\0" * 8, None, "'a'"),
    "negative shape": ({"a": entry(shape=(-2,))}, b"\0" * 8, None, "impossible shape"),
    "boolean shape": ({"a": entry(shape=(True, 2))}, b"\0" * 8, None, "impossible shape"),
    "rank": ({"a": entry(0, 4, (1,) * 65)}, b"\0" * 4, None, "impossible shape"),
    "shape no list": ({"a": {**entry(), "shape": 2}}, b"\0" * 8, None, "impossible shape"),
    "unknown dtype": ({"a": entry(dtype="F7")}, b"\0" * 8, None, "unknown dtype 'F7'"),
    "dtype no name": ({"a": entry(dtype=["F32"])}, b"\0" * 8, None, "unknown dtype"),
    "missing field": ({"a": {"dtype": "F32"}}, b"\0" * 8, None, "lacks"),
    "entry no object": ({"a": 3}, b"\0" * 8, None, "lacks"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_safetensors_are_refused_at_once(case: str, tmp_path: Path) -> None:
    header, data, length, message = DAMAGED[case]
    path = write(tmp_path / "model.safetensors", header, data, length)
    start = time.process_time()
    with pytest.raises(CheckpointError, match=message) as caught:
        read_tensors(path)
    assert time.process_time() - start < 1
    assert str(path) in str(caught.value)


FOREIGN = {
    "LFS pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "git lfs",
    ),
    "web page": (b"<!DOCTYPE html><html>not found</html>", "web page"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + b"\0" * 64, "TensorFlow"),
    "GGUF": (b"GGUF" + b"\0" * 64, "GGUF"),
    "empty": (b"", "0 bytes"),
    "short": (b"\x08\0\0", "truncated"),
    "noise": (b"\xff" * 100, "neither safetensors nor"),
    "pickle": (pickle.dumps({"a": 1}, protocol=2), "pickled file under a safetensors name"),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_other_files_under_a_safetensors_name(case: str, tmp_path: Path) -> None:
    content, message = FOREIGN[case]
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        read_tensors(path)


def a_file(folder: Path, kind: str) -> Path:
    tensors = {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(3, dtype=torch.int8)}
    path = folder / f"weights.{kind}"
    if kind == "safetensors":
        save_file(tensors, path)
    else:
        torch.save(tensors, path)
    return path


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
@given(data=st.data())
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_changed_byte_is_read_or_refused(kind: str, data: st.DataObject, tmp_path: Path) -> None:
    path = a_file(tmp_path, kind)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))])
    with warnings.catch_warnings(), contextlib.suppress(CheckpointError):
        warnings.simplefilter("ignore")
        for tensor in read_tensors(path).values():
            assert tuple(tensor.get().shape) == tensor.shape


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read: No such file"):
        read_tensors(tmp_path / "model.safetensors")


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
def test_every_dtype_reads_as_written(dtype: torch.dtype, tmp_path: Path) -> None:
    values = torch.arange(8, dtype=torch.uint8).view(dtype) if dtype.itemsize == 1 else None
    tensor = torch.arange(4).to(dtype) if values is None else values
    if dtype == torch.bool:
        tensor = torch.tensor([True, False])
    save_file({"a": tensor, "none": torch.zeros(0, 3), "one": torch.tensor(2.0)}, tmp_path / "m")
    held = read_tensors(tmp_path / "m")
    assert held["a"].dtype == dtype
    assert held["a"].shape == tuple(tensor.shape)
    assert torch.equal(held["a"].get().view(torch.uint8), tensor.view(torch.uint8))
    assert held["none"].get().shape == (0, 3)
    assert held["one"].get() == 2


def test_mapped_tensors_change_in_memory_and_never_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"a": torch.ones(1000)}, path)
    before = path.read_bytes()
    tensor = SafetensorsFile(path).mapped("a")
    tensor.add_(1)
    assert tensor.sum() == 2000
    assert path.read_bytes() == before


def test_conversion_reads_and_does_not_map(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"a": torch.tensor([1.0, 2.0], dtype=torch.bfloat16)}, path)
    tensor = read_tensors(path)["a"].to(torch.float32, torch.device("cpu"))
    assert tensor.dtype == torch.float32
    assert tensor.tolist() == [1, 2]


def test_a_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"a": torch.ones(100_000)}, path)
    file = SafetensorsFile(path)
    with path.open("r+b") as handle:
        handle.truncate(5000)
    with pytest.raises(CheckpointError, match="became shorter"):
        file.copied("a")


def test_header_and_metadata(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2, 3)}, tmp_path / "m", metadata={"format": "pt"})
    metadata, entries, start = read_header(tmp_path / "m")
    assert metadata == {"format": "pt"}
    assert entries["a"].shape == (2, 3)
    assert start + entries["a"].end == (tmp_path / "m").stat().st_size


class Hostile:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("zipped", [True, False])
def test_pickles_that_would_run_code_are_refused_and_not_run(zipped: bool, tmp_path: Path) -> None:
    witness, path = tmp_path / "witness", tmp_path / "pytorch_model.bin"
    content = {"a": torch.ones(2), "b": Hostile(witness)}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match="could run code"):
        read_tensors(path)
    assert not witness.exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_pickled_weights_load(zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    torch.save({"a": torch.arange(3.0)}, path, _use_new_zipfile_serialization=zipped)
    assert read_tensors(path)["a"].get().tolist() == [0, 1, 2]


def test_pickles_that_are_no_state_dict(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1), "epoch": 3}, tmp_path / "w.bin")
    with pytest.raises(CheckpointError, match="not a state dict"):
        read_pickled(tmp_path / "w.bin")
    torch.save([torch.ones(1)], tmp_path / "w.bin")
    with pytest.raises(CheckpointError, match="not a state dict"):
        read_pickled(tmp_path / "w.bin")


def test_truncated_pickles(tmp_path: Path) -> None:
    path = tmp_path / "w.bin"
    torch.save({"a": torch.ones(1000)}, path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(CheckpointError, match="damaged"):
        read_tensors(path)


def test_compressed_archives_cannot_unfold(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(100_000)}, tmp_path / "w.bin")
    with (
        zipfile.ZipFile(tmp_path / "w.bin") as source,
        zipfile.ZipFile(tmp_path / "bomb.bin", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for item in source.infolist():
            bomb.writestr(item.filename, source.read(item))
    with pytest.raises(CheckpointError, match="compressed archive"):
        read_tensors(tmp_path / "bomb.bin")


def test_index_decides_and_must_be_true(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1), "b": torch.zeros(1)}, tmp_path / "1.safetensors")
    save_file({"b": torch.ones(1)}, tmp_path / "2.safetensors")
    files = {name: tmp_path / name for name in ("1.safetensors", "2.safetensors")}
    index = {"a": "1.safetensors", "b": "1.safetensors"}
    checkpoint = open_checkpoint(files, index)
    assert checkpoint["b"].get() == 0
    assert len(checkpoint) == 2
    assert checkpoint.nbytes == 8
    with pytest.raises(CheckpointError, match=r"'a' is in .*2\.safetensors, which lacks it"):
        open_checkpoint(files, {"a": "2.safetensors"})


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn], ids=str
)
def test_has_nan(dtype: torch.dtype) -> None:
    values = torch.full((5,), 400.0)
    assert not has_nan(values.to(dtype))
    values[3] = torch.nan
    assert has_nan(values.to(dtype))


def test_has_nan_is_not_fooled() -> None:
    assert not has_nan(torch.tensor([torch.inf, -torch.inf]))
    assert not has_nan(torch.full((100,), 60000.0, dtype=torch.float16))
    assert not has_nan(torch.tensor([1, 2]))
    assert not has_nan(torch.zeros(0))
    assert not has_nan(torch.zeros(2, device="meta"))

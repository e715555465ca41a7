"""TorchScript archives: their tensors by name, without running what is in them."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from dovetail.converting import ScriptFiles, Source
from dovetail.errors import CheckpointError

STORAGE = ScriptFiles(pattern="*.pt", name="model.pt")


class Inner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2, bias=False))
        self.sizes = [1, 2, 3]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x) * float(self.sizes[0])


class Outer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Inner()
        self.scale = nn.Parameter(torch.tensor(2.5, dtype=torch.float16))
        self.register_buffer("count", torch.tensor([3, 4]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x) * self.scale


@pytest.fixture
def archive(tmp_path: Path) -> tuple[nn.Module, Path]:
    torch.manual_seed(0)
    model, path = Outer(), tmp_path / "model.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(model).save(str(path))
    return model, path


def rewritten(path: Path, changes: dict[str, bytes]) -> None:
    """Exchange members of the archive, named by their ends."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            new = next((data for end, data in changes.items() if name.endswith(end)), content)
            archive.writestr(name, new)


def test_tensors_by_name(archive):
    model, path = archive
    read = STORAGE.read(Source.of(path.parent)).tensors
    assert set(read) == set(model.state_dict())
    for name, tensor in model.state_dict().items():
        assert read[name].dtype == tensor.dtype
        assert torch.equal(read[name].get(), tensor)


def test_state_dicts_are_read_as_ever(archive):
    model, path = archive
    torch.save(model.state_dict(), path)
    read = STORAGE.read(Source.of(path.parent)).tensors
    assert set(read) == set(model.state_dict())
    torch.save(model.state_dict(), path, _use_new_zipfile_serialization=False)
    assert set(STORAGE.read(Source.of(path.parent)).tensors) == set(read)


class Evil:
    def __reduce__(self) -> Any:
        return exec, ("raise SystemExit",)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"/data.pkl": pickle.dumps(Evil())}, "exec is not allowed"),
        ({"/data.pkl": b"\x80\x02"}, "damaged TorchScript"),
        ({"/data.pkl": pickle.dumps(5)}, "damaged TorchScript"),
        ({"/data/0": b""}, "has 0 numbers"),
        ({"/data/0": b"123"}, "damaged TorchScript"),
    ],
)
def test_what_is_damaged_or_unsafe_is_refused(archive, changes, message):
    _, path = archive
    rewritten(path, changes)
    with pytest.raises(CheckpointError, match=message):
        STORAGE.read(Source.of(path.parent))


def test_compressed_members_are_refused(archive):
    _, path = archive
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name, content in members.items():
            new.writestr(name, content)
    with pytest.raises(CheckpointError, match="compressed"):
        STORAGE.read(Source.of(path.parent))

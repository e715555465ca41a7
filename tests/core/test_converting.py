"""The framework of converters: choosing, checking, writing, and originals that mean harm."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from dovetail import ConverterDeclaration, ModelDeclaration, PretrainedConfig, registry
from dovetail.cli import execute
from dovetail.converting import (
    Indexed,
    Layout,
    NumpyArchive,
    Pad,
    Renames,
    Reshape,
    Reversed,
    RotaryHalves,
    Stack,
    TensorFlowFiles,
    TorchFiles,
    Zeros,
    convert_checkpoint,
)
from dovetail.converting.bundle import read_bundle, write_bundle
from dovetail.converting.crc32c import crc32c
from dovetail.converting.foreign import flat_yaml, parse_flat_yaml
from dovetail.errors import CheckpointError, ConfigError, MismatchError, UnknownNameError
from dovetail.mapping import to_checkpoint, to_model
from dovetail.modeling import PreTrainedModel
from dovetail.weights import MemoryTensor, SafetensorsFile


class TinyConfig(PretrainedConfig):
    model_type: ClassVar[str] = "tiny-converted"
    hidden_size: int = 4
    num_hidden_layers: int = 2
    tie_word_embeddings: bool = False


class Tiny(PreTrainedModel):
    config_class = TinyConfig
    base_model_prefix = "model"

    def __init__(self, config: TinyConfig) -> None:
        super().__init__(config)
        width = config.hidden_size
        self.embed = nn.Embedding(6, width)
        self.layers = nn.ModuleList(
            nn.Linear(width, 2 * width) for _ in range(config.num_hidden_layers)
        )
        self.post_init()


NAMES = {
    "emb": "embed.weight",
    "h*.w": "layers.*.weight",
    "h*.b": "layers.*.bias",
}
FIELDS = {"dim": "hidden_size", "depth": "num_hidden_layers"}
PLAIN = Layout(
    architecture="Tiny",
    storage=TorchFiles(
        pattern="part.*.pt",
        name="part.{rank}.pt",
        settings_file="settings.json",
        dims=(("w", 0), ("b", 0), ("emb", 1)),
    ),
    steps=(Renames(NAMES),),
    fields=FIELDS,
    marks=("emb", "h*.w"),
    keys=("dim",),
    files={"words.txt": "vocab.txt"},
)
INSIDE = Layout(
    architecture="Tiny",
    storage=TorchFiles(pattern="*.ckpt", name="model.ckpt", state=("net",), settings=(("args",),)),
    steps=(Renames(NAMES),),
    fields=FIELDS,
    marks=("emb",),
)
TENSORFLOW = Layout(
    architecture="Tiny",
    storage=TensorFlowFiles(settings_file="settings.json"),
    steps=(Renames(NAMES),),
    fields=FIELDS,
    marks=("emb",),
)
NUMPY = Layout(
    architecture="Tiny",
    storage=NumpyArchive(settings_member="settings"),
    steps=(Renames(NAMES),),
    fields=FIELDS,
    marks=("emb",),
)
INDEXED = Layout(
    architecture="Tiny",
    storage=Indexed(settings_file="settings.json"),
    steps=(Renames(NAMES),),
    fields=FIELDS,
    marks=("emb",),
)
LAYOUTS = {
    "plain": PLAIN,
    "inside": INSIDE,
    "tensorflow": TENSORFLOW,
    "numpy": NUMPY,
    "indexed": INDEXED,
}


@pytest.fixture(autouse=True)
def declared() -> Iterator[None]:
    declaration = ModelDeclaration(
        "tiny-converted", f"{__name__}:TinyConfig", models=(f"{__name__}:Tiny",)
    )
    registry.models().add(declaration, exist_ok=True)
    names = []
    for name, layout in LAYOUTS.items():
        item: Any = ConverterDeclaration("tiny-converted", name, layout)  # type: ignore[arg-type]
        registry.converters().add(item)
        names.append(item.keys[0])
    yield
    for name in names:
        registry.converters().remove(name)
    registry.models().remove("tiny-converted")


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    model = Tiny(TinyConfig())
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    model.save_pretrained(tmp_path / "hub")
    (tmp_path / "hub" / "vocab.txt").write_text("a\nb\n")
    return tmp_path / "hub"


def original(hub: Path, layout: str, **options: Any) -> Path:
    folder = hub.parent / layout
    convert_checkpoint(hub, folder, layout=layout, to_original=True, **options)
    return folder


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_storage_leads_back(hub: Path, layout: str) -> None:
    source = original(hub, layout)
    done = convert_checkpoint(source, hub.parent / "back", model_type="tiny-converted")
    assert (done.layout, done.to_original, done.tensors, done.lost) == (layout, False, 5, ())
    first, second = (load_file(at / "model.safetensors") for at in (hub, hub.parent / "back"))
    assert {k: v.tolist() for k, v in first.items()} == {k: v.tolist() for k, v in second.items()}


def test_a_model_parallel_original_is_cut_joined_and_copied_beside(hub: Path) -> None:
    source = original(hub, "plain", shards=2)
    assert sorted(path.name for path in source.iterdir() if path.name[0] != ".") == [
        "part.0.pt", "part.1.pt", "settings.json", "words.txt",
    ]  # fmt: skip
    part = torch.load(source / "part.1.pt", weights_only=True)
    assert part["emb"].shape == (6, 2)
    assert part["h0.w"].shape == (4, 4)
    convert_checkpoint(source, hub.parent / "back", max_shard_size="100B")
    assert (hub.parent / "back" / "model.safetensors.index.json").exists()
    assert (hub.parent / "back" / "vocab.txt").read_text() == "a\nb\n"
    with pytest.raises(CheckpointError, match="cannot be cut into 3 equal parts"):
        original(hub, "plain", shards=3)


def test_dtype_changes_numbers_in_both_directions(hub: Path) -> None:
    source = original(hub, "plain", dtype="float16")
    assert torch.load(source / "part.0.pt", weights_only=True)["emb"].dtype == torch.float16
    convert_checkpoint(source, hub.parent / "back", dtype=torch.bfloat16)
    assert load_file(hub.parent / "back" / "model.safetensors")["embed.weight"].dtype == (
        torch.bfloat16
    )
    config = json.loads((hub.parent / "back" / "config.json").read_text())
    assert config["torch_dtype"] == "bfloat16"
    assert config["architectures"] == ["Tiny"]


def test_a_single_file_is_a_source_too(hub: Path) -> None:
    source = original(hub, "inside")
    convert_checkpoint(source / "model.ckpt", hub.parent / "back")
    assert (hub.parent / "back" / "config.json").exists()


# --- what is refused ---


def test_an_unknown_layout_lists_the_known(hub: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="tiny-converted/plain"):
        convert_checkpoint(hub, tmp_path / "out", model_type="tiny-converted", layout="plan")
    with pytest.raises(UnknownNameError, match="no original layout of model type 'tiny'"):
        convert_checkpoint(hub, tmp_path / "out", model_type="tiny")
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        CheckpointError, match=r"no known layout: it holds no files.*tiny-converted"
    ):
        convert_checkpoint(tmp_path / "empty", tmp_path / "out")


def test_the_wrong_direction_is_named(hub: Path, tmp_path: Path) -> None:
    torch.save({"model.embed.weight": torch.zeros(2)}, tmp_path / "hub" / "part.0.pt")
    with pytest.raises(CheckpointError, match="--to-original"):
        convert_checkpoint(hub, tmp_path / "out")
    source = original(hub, "inside")
    with pytest.raises(OSError, match=r"config\.json"):
        convert_checkpoint(source, tmp_path / "out", to_original=True)


def test_several_layouts_ask_for_a_choice(hub: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="choose layout= among indexed, inside"):
        convert_checkpoint(hub, tmp_path / "out", to_original=True)


def test_a_folder_is_not_converted_into_itself(hub: Path) -> None:
    with pytest.raises(ConfigError, match="is the source"):
        convert_checkpoint(hub, hub, to_original=True, layout="plain")


def test_a_missing_part_is_named(hub: Path, tmp_path: Path) -> None:
    source = original(hub, "plain", shards=2)
    (source / "part.0.pt").unlink()
    with pytest.raises(CheckpointError, match=r"lacks part\.0\.pt, though it holds part\.1\.pt"):
        convert_checkpoint(source, tmp_path / "out")


def test_the_last_part_missing_shows_in_the_shapes(hub: Path, tmp_path: Path) -> None:
    source = original(hub, "plain", shards=2)
    (source / "part.1.pt").unlink()
    with pytest.raises(MismatchError, match="a part is missing"):
        convert_checkpoint(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_missing_settings_are_named_and_can_be_given(hub: Path, tmp_path: Path) -> None:
    source = original(hub, "plain")
    (source / "settings.json").unlink()
    with pytest.raises(CheckpointError, match=r"settings\.json of the original lacks dim, depth"):
        convert_checkpoint(source, tmp_path / "out")
    given = {"hidden_size": 4, "num_hidden_layers": 2}
    assert convert_checkpoint(source, tmp_path / "out", config=given).tensors == 5


def test_shapes_that_contradict_the_settings_name_the_tensor(hub: Path, tmp_path: Path) -> None:
    source = original(hub, "plain")
    (source / "settings.json").write_text('{"dim": 8, "depth": 2}')
    with pytest.raises(MismatchError, match=r"'embed.weight' has the shape \[6, 4\].*\[6, 8\]"):
        convert_checkpoint(source, tmp_path / "out")


def test_tensors_too_few_and_too_many_are_named(hub: Path, tmp_path: Path) -> None:
    source = original(hub, "plain")
    (source / "settings.json").write_text('{"dim": 4, "depth": 3}')
    with pytest.raises(MismatchError, match=r"lacks 2 tensors: layers\.2\.weight"):
        convert_checkpoint(source, tmp_path / "out")
    (source / "settings.json").write_text('{"dim": 4, "depth": 1}')
    with pytest.raises(MismatchError, match=r"holds the unknown 2 tensors: layers\.1\.weight"):
        convert_checkpoint(source, tmp_path / "out")


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch exploded",)


def test_code_in_a_pickle_is_refused(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad").mkdir()
    torch.save({"net": {"emb": Bomb()}}, tmp_path / "bad" / "x.ckpt")
    with pytest.raises(CheckpointError, match="unpickling could run code"):
        convert_checkpoint(tmp_path / "bad", tmp_path / "out")
    with (tmp_path / "bad" / "x.ckpt").open("wb") as file:
        pickle.dump(Bomb(), file, protocol=2)
    with pytest.raises(CheckpointError):
        convert_checkpoint(tmp_path / "bad", tmp_path / "out")
    assert not (tmp_path / "exploded").exists()


def test_attributes_of_a_run_are_read_as_settings(hub: Path, tmp_path: Path) -> None:
    source = original(hub, "inside")
    content = torch.load(source / "model.ckpt", weights_only=False)
    assert isinstance(content["args"], argparse.Namespace)
    content["args"].cuda = True
    torch.save(content, source / "model.ckpt")
    assert convert_checkpoint(source, tmp_path / "out").layout == "inside"


@pytest.mark.parametrize("layout", ["plain", "inside", "tensorflow", "numpy", "indexed"])
def test_a_truncated_file_is_refused(hub: Path, tmp_path: Path, layout: str) -> None:
    source = original(hub, layout)
    weights = max(source.glob("*"), key=lambda path: path.stat().st_size * (path.suffix != ".json"))
    weights.write_bytes(weights.read_bytes()[:-40])
    with pytest.raises(CheckpointError, match=weights.name[:5]):
        convert_checkpoint(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_python_objects_in_an_array_archive_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", emb=np.array([{}], dtype=object))
    with pytest.raises(CheckpointError, match="Python objects"):
        convert_checkpoint(tmp_path, tmp_path / "out", layout="numpy")


def test_a_compressed_archive_is_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "x.npz", emb=np.zeros((1000, 1000)))
    with pytest.raises(CheckpointError, match="compressed"):
        convert_checkpoint(tmp_path, tmp_path / "out", layout="numpy")


def test_an_array_of_another_size_than_its_header_says_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive, archive.open("emb.npy", "w") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (10**9, 10**9)}
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(CheckpointError, match="'emb' has another size"):
        convert_checkpoint(tmp_path, tmp_path / "out", layout="numpy")


@pytest.mark.parametrize("name", ["part.0.pt", "settings.json", "words.txt"])
def test_a_link_to_a_file_outside_is_not_followed(hub: Path, tmp_path: Path, name: str) -> None:
    source = original(hub, "plain")
    (source / name).rename(tmp_path / "outside")
    (source / name).symlink_to(tmp_path / "outside")
    with pytest.raises(CheckpointError, match="outside the folder"):
        convert_checkpoint(source, tmp_path / "out")


def test_no_damage_to_an_index_gets_past_the_reader(hub: Path) -> None:
    index = original(hub, "tensorflow") / "model.ckpt.index"
    whole = index.read_bytes()
    for position in range(len(whole)):
        index.write_bytes(
            whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :]
        )
        with contextlib.suppress(CheckpointError):
            for tensor in read_bundle(index).values():
                tensor.get()


def test_a_failed_conversion_leaves_what_was_there(hub: Path, tmp_path: Path) -> None:
    source = original(hub, "plain")
    convert_checkpoint(source, tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    (source / "settings.json").write_text('{"dim": 8, "depth": 2}')
    with pytest.raises(MismatchError):
        convert_checkpoint(source, tmp_path / "out")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_the_index_of_a_foreign_table_is_refused(hub: Path, tmp_path: Path) -> None:
    source = original(hub, "tensorflow")
    index = source / "model.ckpt.index"
    whole = index.read_bytes()
    for damaged in (b"", whole[:-1] + b"\0", b"\xff" * 60 + whole[-48:], whole[:-48] + whole[:48]):
        index.write_bytes(damaged)
        with pytest.raises(CheckpointError):
            read_bundle(index)
    index.write_bytes(whole)
    (source / "model.ckpt.data-00000-of-00001").unlink()
    with pytest.raises(CheckpointError, match="data-00000-of-00001, which is missing"):
        read_bundle(index)


# --- parts ---


def test_crc32c_of_known_texts() -> None:
    assert crc32c(b"") == 0
    assert crc32c(b"123456789") == 0xE3069283  # the check value of the algorithm
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4
    assert crc32c(bytes(range(32))) == 0x46DD794E
    data = bytes(range(256)) * 40
    whole = crc32c(data)
    assert whole != crc32c(data[:-1] + b"\0")


def test_a_bundle_keeps_types_and_shapes(tmp_path: Path) -> None:
    tensors = {
        "a/b": torch.randn(3, 4),
        "n": torch.tensor(7),
        "h": torch.randn(2, 2, 2).bfloat16(),
        "e": torch.empty(0, 3),
    }
    write_bundle({name: MemoryTensor(t) for name, t in tensors.items()}, tmp_path / "m.ckpt")
    back = read_bundle(tmp_path / "m.ckpt.index")
    assert back.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert back[name].dtype == tensor.dtype
        assert torch.equal(back[name].get(), tensor)
    block = (tmp_path / "m.ckpt.index").read_bytes()
    assert struct.unpack("<Q", block[-8:])[0] == 0xDB4775248B80FB57


def test_flat_yaml_leads_back() -> None:
    settings = {"dim-emb": 8, "name": "x", "tied": True, "none": None, "v": [1, 2], "f": 0.5}
    assert parse_flat_yaml(flat_yaml(settings)) == settings


def steps_lead_back(steps: list[Any], tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    lazy = {name: MemoryTensor(tensor) for name, tensor in tensors.items()}
    there = to_model(lazy, steps, TinyConfig())
    back = to_checkpoint(there, steps, TinyConfig())
    assert back.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert back[name].shape == tensor.shape
        assert torch.equal(back[name].get(), tensor)
    return {name: tensor.get() for name, tensor in there.items()}


def test_rotary_pairs_move_half_a_head_apart() -> None:
    rows = torch.arange(8.0)
    made = steps_lead_back([RotaryHalves("q", lambda config: 2)], {"q": rows})
    assert made["q"].tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_numbers_of_names_change_width_and_start() -> None:
    steps = [Renames({"block_*.w": "layers.*.w"}, width=3, first=1)]
    made = steps_lead_back(steps, {"block_001.w": torch.ones(1), "block_010.w": torch.ones(1)})
    assert set(made) == {"layers.0.w", "layers.9.w"}


def test_fused_tensors_come_apart() -> None:
    steps = [
        Reshape("w", lambda _, shape: (2, -(-shape[0] // 2), 3), lambda _, s: (s[0] * s[1], s[2])),
        Reversed(Stack("e.#.w", "w")),
        Pad("e.0.w"),
        Zeros(lambda config: {"bias": (config.hidden_size,)}),
    ]
    made = steps_lead_back(steps, {"w": torch.arange(12.0).view(4, 3)})
    assert made["e.0.w"].tolist() == [[0, 1, 2], [3, 4, 5], [0, 0, 0]]
    assert made["bias"].tolist() == [0, 0, 0, 0]


def test_what_has_no_place_in_the_original_is_an_error() -> None:
    def save(step: Any, **tensors: torch.Tensor) -> None:
        lazy = {name: MemoryTensor(tensor) for name, tensor in tensors.items()}
        to_checkpoint(lazy, [step], TinyConfig())

    with pytest.raises(MismatchError, match="no place for 1 tensors of the checkpoint: other"):
        save(Renames({"a": "b"}), b=torch.ones(1), other=torch.ones(1))
    with pytest.raises(MismatchError, match="the last 1 of 'w'"):
        save(Pad("w"), w=torch.ones(3))
    with pytest.raises(MismatchError, match="'bias' is not zero"):
        save(Zeros(lambda config: {"bias": (4,)}), bias=torch.ones(4))
    with pytest.raises(MismatchError, match="exists as well"):
        save(Renames({"a*": "b*", "a1": "c"}), b1=torch.ones(1), c=torch.ones(1))
    with pytest.raises(ConfigError, match="have other wildcards"):
        Renames({"a*": "b"})


def test_written_files_are_what_safetensors_and_torch_read(hub: Path, tmp_path: Path) -> None:
    source = original(hub, "plain")
    convert_checkpoint(source, tmp_path / "out")
    assert SafetensorsFile(tmp_path / "out" / "model.safetensors").metadata == {"format": "pt"}
    with zipfile.ZipFile(source / "part.0.pt") as archive:
        assert archive.testzip() is None


# --- the command ---


def test_the_command_converts_and_lists(
    hub: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(tmp_path / "there")
    assert execute(["convert", str(hub), folder, "--to-original", "--layout", "inside"]) == 0
    assert "5 tensors converted to tiny-converted/inside" in capsys.readouterr().out
    assert execute(["convert", folder, str(tmp_path / "back"), "--dtype", "float16"]) == 0
    assert "from tiny-converted/inside" in capsys.readouterr().out
    assert execute(["convert", "--list"]) == 0
    assert "tiny-converted" in capsys.readouterr().out


def test_the_command_takes_fields_of_the_config(
    hub: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = original(hub, "plain")
    (source / "settings.json").unlink()
    words = ["convert", str(source), str(tmp_path / "back")]
    assert execute(words) == 1
    assert "num_hidden_layers" in capsys.readouterr().err
    fields = ["--config", "hidden_size=4", "--config", "num_hidden_layers=2"]
    assert execute([*words, *fields]) == 0


def test_what_an_original_cannot_say_is_told(
    hub: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = json.loads((hub / "config.json").read_text()) | {"tie_word_embeddings": True}
    (hub / "config.json").write_text(json.dumps(config))
    words = ["convert", str(hub), str(tmp_path / "o"), "--to-original", "--layout", "inside"]
    assert execute(words) == 0
    assert "cannot express tie_word_embeddings" in capsys.readouterr().err

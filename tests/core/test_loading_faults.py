"""Checkpoints that are damaged, foreign, torn or hostile: one specific error each, at once."""

from __future__ import annotations

import json
import logging
import pickle
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.core.tiny import TinyConfig, TinyForCausalLM, TinyModel, tiny

from dovetail.atomic import MANIFEST
from dovetail.errors import CheckpointError, ConfigError, HubError, MismatchError
from dovetail.modeling import PreTrainedModel

INDEX = "model.safetensors.index.json"


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    tiny().save_pretrained(tmp_path / "saved")
    return tmp_path / "saved"


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    tiny().save_pretrained(tmp_path / "sharded", max_shard_size="1KB")
    return tmp_path / "sharded"


@contextmanager
def refused(kind: type[Exception], message: str) -> Iterator[None]:
    """An error of that kind and message, within a second of work."""
    start = time.process_time()
    with pytest.raises(kind, match=message):
        yield
    assert time.process_time() - start < 1


def change_index(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    index = json.loads((folder / INDEX).read_text())
    (folder / MANIFEST).unlink()
    change(index)
    (folder / INDEX).write_text(json.dumps(index))


def shards(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("model-*"))


class TestNothingThere:
    def test_no_folder(self, tmp_path: Path) -> None:
        with refused(HubError, "no folder on this machine"):
            TinyForCausalLM.from_pretrained(tmp_path / "nowhere")

    def test_no_config(self, saved: Path) -> None:
        (saved / "config.json").unlink()
        with refused(HubError, r"no file 'config\.json'"):
            TinyForCausalLM.from_pretrained(saved)

    def test_no_path_and_no_config(self) -> None:
        with refused(ConfigError, "Give a folder, a file or a Hub id"):
            TinyForCausalLM.from_pretrained(None)

    def test_no_architecture(self, saved: Path) -> None:
        with refused(ConfigError, "use AutoModel"):
            PreTrainedModel.from_pretrained(saved)

    def test_no_weights(self, saved: Path) -> None:
        (saved / "model.safetensors").unlink()
        with refused(CheckpointError, r"none of model\.safetensors, .*Check the folder"):
            TinyForCausalLM.from_pretrained(saved)

    @pytest.mark.parametrize(
        ("name", "hint"),
        [
            ("tf_model.h5", "TensorFlow"),
            ("flax_model.msgpack", "Flax"),
            ("adapter_config.json", "load its base model"),
        ],
    )
    def test_only_something_else(self, name: str, hint: str, saved: Path) -> None:
        (saved / "model.safetensors").rename(saved / name)
        with refused(CheckpointError, hint):
            TinyForCausalLM.from_pretrained(saved)

    def test_another_variant_or_format(self, saved: Path) -> None:
        with refused(CheckpointError, r"There is model\.safetensors"):
            TinyForCausalLM.from_pretrained(saved, variant="fp16")
        with refused(CheckpointError, r"There is model\.safetensors"):
            TinyForCausalLM.from_pretrained(saved, use_safetensors=False)


class TestIndex:
    @pytest.mark.parametrize(
        "name", ["../model.safetensors", "/etc/passwd", "a/../../b", "C:\\x", "x\0y", "", 3, None]
    )
    def test_names_outside_the_folder(self, name: Any, sharded: Path) -> None:
        shutil.copy(sharded / shards(sharded)[0], sharded.parent / "model.safetensors")
        change_index(sharded, lambda index: index["weight_map"].update({"lm_head.weight": name}))
        with refused(CheckpointError, "outside the folder|no file name"):
            TinyForCausalLM.from_pretrained(sharded)

    def test_a_link_out_of_the_folder(self, sharded: Path, tmp_path: Path) -> None:
        shard = sharded / shards(sharded)[0]
        shutil.move(shard, tmp_path / "elsewhere.safetensors")
        shard.symlink_to(tmp_path / "elsewhere.safetensors")
        with refused(CheckpointError, "is a link to"):
            TinyForCausalLM.from_pretrained(sharded)

    def test_missing_shards(self, sharded: Path) -> None:
        (sharded / MANIFEST).unlink()
        name = shards(sharded)[1]
        (sharded / name).unlink()
        with refused(CheckpointError, f"1 are missing: {name}"):
            TinyForCausalLM.from_pretrained(sharded)

    def test_a_tensor_that_its_shard_lacks(self, sharded: Path) -> None:
        def swap(index: dict[str, Any]) -> None:
            index["weight_map"]["lm_head.weight"] = index["weight_map"]["model.norm.weight"]

        change_index(sharded, swap)
        with refused(CheckpointError, r"'lm_head\.weight' is in .*, which lacks it"):
            TinyForCausalLM.from_pretrained(sharded)

    @pytest.mark.parametrize("content", ["{}", "[]", '{"weight_map": 3}', "{", '{"weight_map":{}}'])
    def test_no_index(self, content: str, sharded: Path) -> None:
        (sharded / INDEX).write_text(content)
        with refused(CheckpointError, "index|JSON"):
            TinyForCausalLM.from_pretrained(sharded)

    def test_mixed_saves(self, sharded: Path, tmp_path: Path) -> None:
        tiny(seed=1).save_pretrained(tmp_path / "other", max_shard_size="1KB")
        name = shards(sharded)[1]
        shutil.copy(tmp_path / "other" / name, sharded / name)
        with refused(CheckpointError, f"mixes two saves: {name}"):
            TinyForCausalLM.from_pretrained(sharded)


class TestFiles:
    def test_truncated(self, saved: Path) -> None:
        path = saved / "model.safetensors"
        path.write_bytes(path.read_bytes()[:-10])
        with refused(CheckpointError, "truncated"):
            TinyForCausalLM.from_pretrained(saved)

    def test_lfs_pointer(self, saved: Path) -> None:
        (saved / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
        with refused(CheckpointError, "git lfs pull"):
            TinyForCausalLM.from_pretrained(saved)

    def test_a_pickle_is_not_read_under_another_name(self, saved: Path) -> None:
        torch.save(tiny().state_dict(), saved / "model.safetensors")
        with refused(CheckpointError, "pickled file under a safetensors name"):
            TinyForCausalLM.from_pretrained(saved)

    def test_hostile_pickle(self, saved: Path, tmp_path: Path) -> None:
        class Hostile:
            def __reduce__(self) -> Any:
                return (Path.touch, (tmp_path / "witness",))

        (saved / "model.safetensors").unlink()
        (saved / "pytorch_model.bin").write_bytes(pickle.dumps({"a": Hostile()}, protocol=2))
        with refused(CheckpointError, "could run code"):
            TinyForCausalLM.from_pretrained(saved)
        assert not (tmp_path / "witness").exists()


class TestMisfits:
    def test_other_sizes_list_names_and_both_shapes(self, saved: Path) -> None:
        message = (
            r"size mismatch of 2 tensors, .*embed_tokens\.weight \(\[20, 8\] in the checkpoint"
        )
        with refused(MismatchError, message):
            TinyForCausalLM.from_pretrained(saved, vocab_size=21)

    def test_the_error_is_the_fields(self, saved: Path) -> None:
        with pytest.raises(RuntimeError, match="size mismatch"):
            TinyForCausalLM.from_pretrained(saved, vocab_size=21)

    def test_ignored_other_sizes(self, saved: Path) -> None:
        model, info = TinyForCausalLM.from_pretrained(
            saved, vocab_size=21, ignore_mismatched_sizes=True, output_loading_info=True
        )
        assert ("lm_head.weight", (20, 8), (21, 8)) in info["mismatched_keys"]
        assert model.lm_head.weight.shape == (21, 8)
        assert 0 < model.lm_head.weight.std() < 0.1
        assert torch.equal(model.model.norm.weight, tiny().model.norm.weight)

    def test_strict(self, saved: Path) -> None:
        TinyForCausalLM.from_pretrained(saved, strict=True)
        with refused(MismatchError, r"unexpected: lm_head\.weight"):
            TinyModel.from_pretrained(saved, strict=True)

    def test_sizes_are_compared_before_memory_is_taken(self, saved: Path) -> None:
        # 2**26 x 2**16 numbers: no machine holds this.
        with refused(MismatchError, "67108864"):
            TinyForCausalLM.from_pretrained(saved, vocab_size=2**26, hidden_size=2**16)

    def test_another_architectures_folder(self, saved: Path) -> None:
        state = load_file(saved / "model.safetensors")
        save_file({f"other.{name}": t for name, t in state.items()}, saved / "model.safetensors")
        with refused(MismatchError, "none of its 11 tensors fits TinyForCausalLM"):
            TinyForCausalLM.from_pretrained(saved)

    def test_nan_weights_are_told(self, saved: Path, caplog: pytest.LogCaptureFixture) -> None:
        state = load_file(saved / "model.safetensors")
        state["model.norm.weight"][3] = torch.nan
        save_file(state, saved / "model.safetensors")
        with caplog.at_level(logging.WARNING, logger="dovetail"):
            _, info = TinyForCausalLM.from_pretrained(saved, output_loading_info=True)
        assert info["nan_keys"] == ["model.norm.weight"]
        assert "NaN weights in model.norm.weight" in caplog.text

    def test_a_failed_load_leaves_no_trace(self, saved: Path) -> None:
        before = sorted(path.name for path in saved.iterdir())
        with pytest.raises(MismatchError):
            TinyForCausalLM.from_pretrained(saved, vocab_size=21, torch_dtype=torch.float16)
        assert torch.get_default_dtype() == torch.float32
        assert sorted(path.name for path in saved.iterdir()) == before

    def test_a_constructor_that_fails_leaves_the_default_dtype(self, saved: Path) -> None:
        class Broken(TinyForCausalLM):
            def __init__(self, config: TinyConfig) -> None:
                super().__init__(config)
                raise ValueError("broken on purpose")

        with pytest.raises(ValueError, match="on purpose"):
            Broken.from_pretrained(saved, torch_dtype=torch.float16)
        assert torch.get_default_dtype() == torch.float32
        assert torch.empty(1).device.type == "cpu"


HOSTILE = r"""
import json, os, sys
from pathlib import Path
import torch
from dovetail.auto import AutoModel, AutoModelForCausalLM
from tests.core.tiny import TinyConfig, TinyForCausalLM, tiny

folder = Path(sys.argv[1])
tiny().save_pretrained(folder)
AutoModelForCausalLM.register(TinyConfig, TinyForCausalLM)
TinyForCausalLM.from_pretrained(folder)          # what a first use imports does not count
config = json.loads((folder / "config.json").read_text())
config |= {
    "auto_map": {"AutoModel": "evil.Model", "AutoConfig": "other/repo--evil.Config"},
    "_attn_implementation": "evil/kernels", "attn_implementation": "evil/kernels",
    "_name_or_path": "evil/other", "tokenizer_class": "os.system",
    "nested": {"auto_map": {"AutoModel": "evil.Model"}, "_attn_implementation": "evil/kernels"},
}
(folder / "config.json").write_text(json.dumps(config))
(folder / "evil.py").write_text("raise SystemExit('executed')")
(folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch witness'\ntR.")
(folder / "generation_config.json").write_text('{"transformers_version": "evil"}')
seen = []

def watch(event, arguments):
    if event.startswith(("socket.", "subprocess.", "os.exec", "os.spawn", "os.posix_spawn",
                         "pickle.", "os.system", "ctypes.dlopen", "shutil.", "os.remove")):
        seen.append((event, arguments))
    elif event == "import" and arguments[0] not in sys.modules:
        seen.append((event, arguments[0]))
    elif event == "open" and isinstance(arguments[0], (str, bytes, os.PathLike)):
        if not os.path.realpath(os.fsdecode(arguments[0])).startswith(str(folder.resolve())):
            seen.append((event, arguments[0]))

sys.addaudithook(watch)
model = TinyForCausalLM.from_pretrained(folder)
assert model.config._attn_implementation == "sdpa", model.config._attn_implementation
print(json.dumps([str(event) for event in seen]))
"""


def test_a_hostile_folder_causes_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HOSTILE, str(tmp_path / "model")],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []

"""``save_pretrained``: what is written, under which names, and what a fault leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from tests.core.tiny import TinyConfig, TinyForCausalLM, TinyModel, equal_states, tiny
from torch import nn

from dovetail.errors import CheckpointError, ConfigError, MismatchError
from dovetail.saving import parse_size, split
from dovetail.weights import MemoryTensor

ROOT = Path(__file__).parents[2]
INDEX = "model.safetensors.index.json"


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


class TestFiles:
    def test_single_file(self, tmp_path: Path) -> None:
        model = tiny()
        model.save_pretrained(tmp_path)
        assert names_in(tmp_path) == ["config.json", "model.safetensors"]
        with safe_open(tmp_path / "model.safetensors", "pt") as file:
            assert file.metadata() == {"format": "pt"}
        held = load_file(tmp_path / "model.safetensors")
        assert held.keys() == model.state_dict().keys()
        config = json.loads((tmp_path / "config.json").read_text())
        assert config["architectures"] == ["TinyForCausalLM"]
        assert config["torch_dtype"] == "float32"

    def test_shards(self, tmp_path: Path) -> None:
        model = tiny()
        model.save_pretrained(tmp_path, max_shard_size="1KB", variant="fp16")
        index = json.loads((tmp_path / "model.safetensors.index.fp16.json").read_text())
        assert index["weight_map"].keys() == model.state_dict().keys()
        assert index["metadata"]["total_size"] == sum(t.nbytes for t in model.state_dict().values())
        shards = sorted(set(index["weight_map"].values()))
        assert shards[0] == f"model.fp16-00001-of-{len(shards):05d}.safetensors"
        for shard in shards:
            held = load_file(tmp_path / shard)
            assert {name for name, file in index["weight_map"].items() if file == shard} == {*held}
            assert sum(t.nbytes for t in held.values()) <= 1000 or len(held) == 1

    def test_pickled_shards(self, tmp_path: Path) -> None:
        tiny().save_pretrained(tmp_path, safe_serialization=False, max_shard_size=1000)
        assert "pytorch_model.bin.index.json" in names_in(tmp_path)
        assert any(name.startswith("pytorch_model-00001-of-") for name in names_in(tmp_path))

    @pytest.mark.parametrize("safe", [True, False])
    def test_an_older_checkpoint_is_replaced_whole(self, safe: bool, tmp_path: Path) -> None:
        tiny(seed=1).save_pretrained(tmp_path, max_shard_size="1KB", safe_serialization=not safe)
        tiny(seed=1).save_pretrained(tmp_path, variant="fp16")
        (tmp_path / "tokenizer.json").write_text("{}")
        tiny(seed=2).save_pretrained(tmp_path, safe_serialization=safe)
        weights = "model.safetensors" if safe else "pytorch_model.bin"
        others = ["config.json", "model.fp16.safetensors", "tokenizer.json"]
        assert names_in(tmp_path) == sorted([weights, *others])
        assert equal_states(TinyForCausalLM.from_pretrained(tmp_path), tiny(seed=2))

    def test_single_file_over_shards_and_back(self, tmp_path: Path) -> None:
        tiny(seed=1).save_pretrained(tmp_path)
        tiny(seed=2).save_pretrained(tmp_path, max_shard_size="1KB")
        assert "model.safetensors" not in names_in(tmp_path)
        assert equal_states(TinyForCausalLM.from_pretrained(tmp_path), tiny(seed=2))
        tiny(seed=3).save_pretrained(tmp_path, max_shard_size="2KB")
        assert equal_states(TinyForCausalLM.from_pretrained(tmp_path), tiny(seed=3))

    def test_a_model_saves_over_the_file_it_is_mapped_from(self, tmp_path: Path) -> None:
        tiny().save_pretrained(tmp_path)
        model = TinyForCausalLM.from_pretrained(tmp_path)
        model.lm_head.weight.data.add_(1)
        model.save_pretrained(tmp_path)
        assert equal_states(TinyForCausalLM.from_pretrained(tmp_path), model)
        assert torch.equal(model.model.norm.weight, tiny().model.norm.weight)

    def test_other_processes_write_nothing(self, tmp_path: Path) -> None:
        tiny().save_pretrained(tmp_path / "out", is_main_process=False)
        assert not (tmp_path / "out").exists()

    def test_given_state_and_function(self, tmp_path: Path) -> None:
        state = tiny(seed=5).state_dict()
        calls = []

        def save(tensors: Any, path: Path) -> None:
            calls.append(path.name)
            torch.save(tensors, path)

        tiny().save_pretrained(
            tmp_path, state_dict=state, safe_serialization=False, save_function=save
        )
        assert calls == ["pytorch_model.bin"]
        assert equal_states(TinyForCausalLM.from_pretrained(tmp_path), tiny(seed=5))

    def test_half_precision_round_trip(self, tmp_path: Path) -> None:
        model = tiny().to(torch.bfloat16)
        model.save_pretrained(tmp_path)
        assert equal_states(TinyForCausalLM.from_pretrained(tmp_path, dtype="auto"), model)

    def test_strided_and_partial_tensors(self, tmp_path: Path) -> None:
        model = tiny()
        wide = torch.randn(30, 8)
        model.lm_head.weight = nn.Parameter(wide[:20])
        model.model.layers[0].down.weight = nn.Parameter(torch.randn(16, 8).T)
        for safe in (True, False):
            model.save_pretrained(tmp_path / str(safe), safe_serialization=safe)
            assert equal_states(TinyForCausalLM.from_pretrained(tmp_path / str(safe)), model)
        assert (tmp_path / "False" / "pytorch_model.bin").stat().st_size < 10_000

    def test_ignored_names(self, tmp_path: Path) -> None:
        class Ignoring(TinyForCausalLM):
            _keys_to_ignore_on_save = ["model.steps"]  # noqa: RUF012

        tiny(cls=Ignoring).save_pretrained(tmp_path)
        assert "model.steps" not in load_file(tmp_path / "model.safetensors")


class TestSharedMemory:
    def test_declared_ties_are_kept_once(self, tmp_path: Path) -> None:
        tiny(tie_word_embeddings=True).save_pretrained(tmp_path / "safe")
        assert "lm_head.weight" not in load_file(tmp_path / "safe" / "model.safetensors")
        tiny(tie_word_embeddings=True).save_pretrained(tmp_path / "old", safe_serialization=False)
        state = torch.load(tmp_path / "old" / "pytorch_model.bin", weights_only=True)
        assert torch.equal(state["lm_head.weight"], state["model.embed_tokens.weight"])

    def test_declared_but_untied(self, tmp_path: Path) -> None:
        tiny(tie_word_embeddings=False).save_pretrained(tmp_path)
        assert "lm_head.weight" in load_file(tmp_path / "model.safetensors")

    def test_lists_of_patterns_as_third_parties_have_them(self, tmp_path: Path) -> None:
        class Listed(TinyModel):
            _tied_weights_keys = [r"layers\.1\.down"]  # noqa: RUF012
            tied_weights = None

            def tie_weights(self) -> None:
                self.layers[1].down.weight = self.layers[0].down.weight

        model = tiny(cls=Listed)
        model.save_pretrained(tmp_path)
        assert "layers.1.down.weight" not in load_file(tmp_path / "model.safetensors")
        loaded, info = Listed.from_pretrained(tmp_path, output_loading_info=True)
        assert info["missing_keys"] == []
        assert equal_states(loaded, model)

    def test_undeclared_aliases_are_refused(self, tmp_path: Path) -> None:
        model = tiny()
        model.model.layers[1].up.weight = model.model.layers[0].up.weight
        with pytest.raises(MismatchError, match=r"layers\.0\.up\.weight' and .*share memory"):
            model.save_pretrained(tmp_path / "out")
        assert not (tmp_path / "out").exists()
        model.save_pretrained(tmp_path / "out", safe_serialization=False)
        assert equal_states(TinyForCausalLM.from_pretrained(tmp_path / "out"), model)

    def test_overlapping_windows_are_refused(self, tmp_path: Path) -> None:
        model = tiny()
        memory = torch.randn(200)
        model.model.norm.weight = nn.Parameter(memory[0:8])
        model.model.norm.bias = nn.Parameter(memory[4:12])
        with pytest.raises(MismatchError, match="share memory"):
            model.save_pretrained(tmp_path)

    def test_neighbouring_windows_are_fine(self, tmp_path: Path) -> None:
        model = tiny()
        memory = torch.randn(200)
        model.model.norm.weight = nn.Parameter(memory[0:8])
        model.model.norm.bias = nn.Parameter(memory[8:16])
        model.save_pretrained(tmp_path)
        assert equal_states(TinyForCausalLM.from_pretrained(tmp_path), model)

    def test_meta_tensors_cannot_be_saved(self, tmp_path: Path) -> None:
        model = tiny().to("meta")
        with pytest.raises(CheckpointError, match="hold no values"):
            model.save_pretrained(tmp_path)


class TestSizes:
    @pytest.mark.parametrize(
        ("text", "count"),
        [(7, 7), ("5GB", 5 * 10**9), ("5gb", 5 * 10**9), ("1.5 MiB", 3 * 2**19), ("10", 10)],
    )
    def test_sizes(self, text: Any, count: int) -> None:
        assert parse_size(text) == count

    @pytest.mark.parametrize("text", ["", "5XB", "GB", -1, 0, "0KB", "iB", None, True, "1e9"])
    def test_no_sizes(self, text: Any, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="max_shard_size="):
            tiny().save_pretrained(tmp_path, max_shard_size=text)
        assert names_in(tmp_path) == []

    def test_large_tensors_stand_alone(self) -> None:
        tensors = {str(n): MemoryTensor(torch.zeros(n)) for n in (1, 100, 2, 3, 1)}
        tensors["9"] = MemoryTensor(torch.zeros(9))
        shards = split(tensors, limit=40)
        assert [list(shard.tensors) for shard in shards] == [["100"], ["1", "2", "3"], ["9"]]
        assert [list(shard.tensors) for shard in split({}, limit=40)] == [[]]


KILL = """
import os, sys
from pathlib import Path
import safetensors.torch
import dovetail.atomic, dovetail.saving
from tests.core.tiny import TinyForCausalLM, equal_states, tiny

folder, old_size, new_size = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
old, new = tiny(seed=1), tiny(seed=2)

def counted(function, steps):
    def step(*args, **kwargs):
        if steps[0] == 0:
            os._exit(9)
        steps[0] -= 1
        return function(*args, **kwargs)
    return step

def save_until(count, where):
    steps = [count]
    for module, name in ((os, "replace"), (os, "fsync"), (os, "unlink"),
                         (dovetail.saving, "save_file")):
        setattr(module, name, counted(getattr(module, name), steps))
    new.save_pretrained(where, max_shard_size=new_size)
    os._exit(0)

states, number = [], 0
while True:
    where = folder / str(number)
    old.save_pretrained(where, max_shard_size=old_size)
    child = os.fork()
    if child == 0:
        save_until(number, where)
    _, status = os.waitpid(child, 0)
    loaded = TinyForCausalLM.from_pretrained(where)
    states.append("old" if equal_states(loaded, old) else "new")
    assert states[-1] == "old" or equal_states(loaded, new), f"a mix after {number} steps"
    new.save_pretrained(where)
    assert equal_states(TinyForCausalLM.from_pretrained(where), new), number
    left = [path.name for path in where.iterdir() if "staging" in path.name]
    assert not left, (number, left)
    number += 1
    if status == 0:
        break
print(" ".join(states))
"""


class TestFaults:
    @pytest.mark.skipif(os.name != "posix", reason="forks")
    @pytest.mark.parametrize(("old", "new"), [("3KB", "5GB"), ("5GB", "3KB")])
    def test_a_kill_at_every_step_leaves_old_or_new(
        self, old: str, new: str, tmp_path: Path
    ) -> None:
        done = subprocess.run(
            [sys.executable, "-c", KILL, str(tmp_path), old, new],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        states = done.stdout.split()
        assert states == sorted(states, reverse=True)
        assert states[0] == "old"
        assert states[-1] == "new"
        assert len(states) > 10

    @pytest.mark.parametrize(
        "error", [SafetensorError("No space left on device"), OSError(28, "No space left")]
    )
    def test_a_full_disk(
        self, error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tiny(seed=1).save_pretrained(tmp_path)
        before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

        def fail(*args: Any, **kwargs: Any) -> None:
            raise error

        monkeypatch.setattr("dovetail.saving.save_file", fail)
        with pytest.raises(CheckpointError, match=r"No space left.*unchanged"):
            tiny(seed=2).save_pretrained(tmp_path)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before

    @pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
    def test_a_limit_on_file_sizes(self, tmp_path: Path) -> None:
        tiny(seed=1).save_pretrained(tmp_path)
        code = """
import resource, signal, sys
from tests.core.tiny import tiny
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
model = tiny(seed=2)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    model.save_pretrained(sys.argv[1])
except OSError as error:
    print(type(error).__name__)
"""
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout.strip() == "CheckpointError", done.stderr
        assert equal_states(TinyForCausalLM.from_pretrained(tmp_path), tiny(seed=1))

    def test_a_file_in_the_way(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("mine")
        with pytest.raises(CheckpointError, match="is a file"):
            tiny().save_pretrained(tmp_path / "file")
        assert (tmp_path / "file").read_text() == "mine"

    def test_a_config_that_cannot_be_leaves_the_old_checkpoint(self, tmp_path: Path) -> None:
        tiny(seed=1).save_pretrained(tmp_path)
        model = tiny(seed=2)
        model.config.strange = object()
        with pytest.raises(ConfigError):
            model.save_pretrained(tmp_path)
        assert equal_states(TinyForCausalLM.from_pretrained(tmp_path), tiny(seed=1))


def test_settings_of_generate_move_out_of_the_config(tmp_path: Path) -> None:
    from dovetail.generation import GenerationConfig

    model = tiny(cls=TinyForCausalLM)
    model.generation_config = GenerationConfig()
    model.config.temperature = 0.5
    model.config.do_sample = True
    with pytest.warns(UserWarning, match="moved to model.generation_config"):
        model.save_pretrained(tmp_path)
    assert model.generation_config.temperature == 0.5
    assert "temperature" not in json.loads((tmp_path / "config.json").read_text())
    settings = json.loads((tmp_path / "generation_config.json").read_text())
    assert settings["temperature"] == 0.5


def test_tiny_config_is_written_for_readers_of_the_field(tmp_path: Path) -> None:
    tiny(cls=TinyModel).save_pretrained(tmp_path)
    assert TinyConfig.from_pretrained(tmp_path).architectures == ["TinyModel"]

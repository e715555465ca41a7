"""What saving, loading and copying must keep."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dovetail.modeling import PreTrainedModel
from dovetail.testing.subject import Subject, accepts, expect, expect_close

WEIGHTS = "model.safetensors"


def read_config(folder: Path) -> dict[str, Any]:
    """The saved config without the name of the folder that it was loaded from."""
    config = json.loads((folder / "config.json").read_text())
    return {key: value for key, value in config.items() if key != "_name_or_path"}


def chosen(model: Any, names: Iterable[str]) -> dict[str, Tensor]:
    """Those of `model`'s tensors that `names` lists and it has."""
    state = model.state_dict()
    return {name: state[name] for name in names if name in state}


class CheckpointTests(Subject):
    """Round trips, base and head checkpoints, ties, dtypes, shards, copies."""

    def test_round_trip_keeps_every_tensor(self, model_class: Any, tmp_path: Path) -> None:
        model = self.build(model_class)
        model.save_pretrained(tmp_path)
        loaded, report = model_class.from_pretrained(tmp_path, output_loading_info=True)
        for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
            expect(not report[kind], f"{kind}: {report[kind]}")
        expect_close(loaded.state_dict(), model.state_dict(), "", 0.0)
        expect(not loaded.training, "a loaded model must be in evaluation mode")
        inputs = self.inputs(model_class, model.config)
        # The same numbers elsewhere in memory may be added up in another order.
        expect_close(self.run(loaded, inputs), self.run(model, inputs), "", 1e-5)

    def test_saved_twice_is_saved_the_same(self, model_class: Any, tmp_path: Path) -> None:
        model = self.build(model_class)
        model.save_pretrained(tmp_path / "first")
        model_class.from_pretrained(tmp_path / "first").save_pretrained(tmp_path / "second")
        first, second = (load_file(tmp_path / step / WEIGHTS) for step in ("first", "second"))
        expect_close(second, first, "", 0.0)
        first, second = (read_config(tmp_path / step) for step in ("first", "second"))
        expect_close(second, first, "config.json", 0.0)

    def test_shards_hold_the_same(self, model_class: Any, tmp_path: Path) -> None:
        model = self.build(model_class)
        model.save_pretrained(tmp_path, max_shard_size="8KB")
        index = json.loads((tmp_path / f"{WEIGHTS}.index.json").read_text())
        expect(len(set(index["weight_map"].values())) > 1, "8KB makes one shard only")
        expect_close(
            model_class.from_pretrained(tmp_path).state_dict(), model.state_dict(), "", 0.0
        )

    def test_a_head_loads_its_body_and_a_body_its_head(
        self, task_class: Any, tmp_path: Path
    ) -> None:
        head = self.build(task_class)
        body = head.base_model
        if body is head:  # the head has the parts of a body itself, under the same names
            body = self.build(self.model_classes[0])
        wanted = body.state_dict()
        body.save_pretrained(tmp_path / "body")
        loaded = task_class.from_pretrained(tmp_path / "body").base_model
        expect_close(chosen(loaded, wanted), wanted, "body in a head", 0.0)
        if head.base_model_prefix != type(body).base_model_prefix:
            return  # the head keeps its body under a name of its own, which the body cannot know
        head.save_pretrained(tmp_path / "head")
        alone = type(body).from_pretrained(tmp_path / "head")
        wanted = chosen(head.base_model, alone.state_dict())  # a head's body may have parts more
        expect_close(chosen(alone, wanted), wanted, "body from a head", 0.0)

    def test_ties_hold_through_loading_and_copying(self, model_class: Any, tmp_path: Path) -> None:
        model = self.build(model_class)
        model.save_pretrained(tmp_path)
        copies = {
            "construction": model,
            "loading": model_class.from_pretrained(tmp_path),
            "deepcopy": copy.deepcopy(model),
        }
        for how, other in copies.items():
            parameters = other.state_dict(keep_vars=True)
            for name, source in other.tied_weights().items():
                expect(
                    parameters[name] is parameters[source], f"{name} is not {source} after {how}"
                )

    def test_missing_weights_are_reported_and_made(self, model_class: Any, tmp_path: Path) -> None:
        self.build(model_class).save_pretrained(tmp_path)
        tensors = load_file(tmp_path / WEIGHTS)
        lost = sorted(name for name, tensor in tensors.items() if tensor.is_floating_point())[-1]
        save_file(
            {name: tensors[name] for name in tensors if name != lost},
            tmp_path / WEIGHTS,
            {"format": "pt"},
        )
        model, report = model_class.from_pretrained(tmp_path, output_loading_info=True)
        expect(lost in report["missing_keys"], f"{lost} is not reported missing: {report}")
        for name, tensor in model.state_dict().items():
            expect(
                not tensor.is_meta and bool(torch.isfinite(tensor).all()), f"{name} was not made"
            )

    def test_fresh_weights_are_sensible(self, model_class: Any) -> None:
        model = model_class(self.config())
        for name, parameter in model.named_parameters():
            expect(bool(torch.isfinite(parameter).all()), f"{name} is not finite")
            expect(parameter.abs().max().item() < 100, f"{name} is huge")
        output = self.run(model.eval(), self.inputs(model_class, model.config))
        expect(bool(torch.isfinite(output[0]).all()), "a fresh model's output is not finite")

    def test_dtype_is_chosen_on_loading(self, model_class: Any, tmp_path: Path) -> None:
        model = self.build(model_class).to(torch.bfloat16)
        model.save_pretrained(tmp_path)
        for wanted, expected in (("auto", torch.bfloat16), (torch.float32, torch.float32)):
            loaded = model_class.from_pretrained(tmp_path, torch_dtype=wanted)
            expect(loaded.dtype == expected, f"torch_dtype={wanted} gives {loaded.dtype}")
        saved = loaded.state_dict().keys() - set(loaded._keys_to_ignore_on_save or ())
        for name in saved:
            tensor, kept = loaded.state_dict()[name], model.state_dict()[name]
            expect_close(tensor.float(), kept.float(), name, 0.0)

    def test_construction_on_the_meta_device_allocates_nothing(self, model_class: Any) -> None:
        with torch.device("meta"):
            model = model_class(self.config())
        real = [name for name, parameter in model.named_parameters() if not parameter.is_meta]
        expect(not real, f"{real} are not on the meta device")

    def test_copies_and_pickles_compute_the_same(self, model_class: Any) -> None:
        model = self.build(model_class)
        inputs = self.inputs(model_class, model.config)
        expected = self.run(model, inputs)
        for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            expect_close(self.run(other, inputs), expected, "", 0.0)

    def test_config_round_trip(self, tmp_path: Path) -> None:
        config = self.config()
        config.save_pretrained(tmp_path)
        loaded = self.config_class.from_pretrained(tmp_path)
        expect(loaded.to_dict() == config.to_dict(), "the config changes by being saved and loaded")
        again = self.config_class.from_dict(config.to_dict())
        expect(again.to_dict() == config.to_dict(), "the config changes by to_dict and from_dict")

    def test_parameters_are_counted_once(self, model_class: Any) -> None:
        model = self.build(model_class)
        total = sum(parameter.numel() for parameter in model.parameters())
        expect(
            model.num_parameters() == total,
            f"num_parameters() is {model.num_parameters()}, not {total}",
        )
        fewer = model.num_parameters(exclude_embeddings=True)
        embeds = any(isinstance(module, nn.Embedding) for module in model.modules())
        expect((fewer < total) == embeds, f"exclude_embeddings leaves {total - fewer} out")
        next(model.parameters()).requires_grad_(False)
        fewer = model.num_parameters(only_trainable=True)
        expect(fewer < total, "only_trainable counts what is frozen")
        size = model.get_memory_footprint(return_buffers=False)
        expect(size == 4 * total, f"get_memory_footprint() is {size}, not {4 * total}")

    def test_pruned_heads_stay_pruned(self, model_class: Any, tmp_path: Path) -> None:
        model = self.build(model_class)
        if type(model.base_model)._prune_heads is PreTrainedModel._prune_heads:
            return
        inputs = self.inputs(model_class, model.config)
        before = model.num_parameters()
        expected = None
        if accepts(model, "head_mask"):
            mask = torch.ones(model.config.num_hidden_layers, model.config.num_attention_heads)
            mask[0, 1] = 0
            expected = self.run(model, inputs, head_mask=mask)[0]
        model.prune_heads({0: [1]})
        expect(model.num_parameters() < before, "pruning a head removes no parameter")
        output = self.run(model, inputs)[0]
        if expected is not None:
            expect_close(output, expected, "a pruned and a masked head", self.tolerance)
        model.save_pretrained(tmp_path)
        loaded = model_class.from_pretrained(tmp_path)
        expect(loaded.num_parameters() == model.num_parameters(), "a pruned head comes back")
        expect_close(self.run(loaded, inputs)[0], output, "a pruned model, loaded", 1e-6)

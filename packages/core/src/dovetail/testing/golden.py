"""Golden files: what the reference library said for one class with one config, and how to check it.

A file holds the config as a checkpoint has it, the names and shapes of the checkpoint's tensors,
and calls with their outputs as fingerprints. The weights are not stored: `Golden.write_checkpoint`
makes them from the tensors' names (`dovetail.testing.seeded`), so a check is a real load.

Stored values: ``{"ints": nested}`` is an integer tensor, ``{"values": nested}`` a float one,
``{"bools": nested}`` one of ones and zeros that are read as booleans,
``{"floats": shape, "seed": name, "spread": s}`` a float tensor of which only the recipe is kept,
``{"together": nested}`` float or integer tensors as one, padded with zeros,
``{"tuple": [...]}`` a tuple, ``{"fields": {...}}`` a dict of stored values, ``{"output": field}`` a
field of the previous step's output, a list one of stored values, anything else itself. An output is
a fingerprint, integers, a list or dict of outputs, or a plain value.
"""

from __future__ import annotations

import copy
import importlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dovetail.caches import Cache
from dovetail.mapping import to_checkpoint
from dovetail.testing import seeded
from dovetail.weights import MemoryTensor

TOLERANCE = 1e-4
POSITION_AXIS = {
    "last_hidden_state": 1,
    "logits": 1,
    "hidden_states": 1,
    "attentions": 2,
    "cross_attentions": 2,
    "past_key_values": 2,
}
"""Where an output field has its positions: those that a mask declares void are not compared."""


class GoldenMismatch(AssertionError):
    """The model and the golden file disagree; the message lists every difference."""


@dataclass(frozen=True)
class Golden:
    """One golden file."""

    path: Path
    content: Mapping[str, Any]

    @classmethod
    def read(cls, path: str | Path) -> Golden:
        """The golden file at `path`."""
        return cls(Path(path), json.loads(Path(path).read_text()))

    @property
    def calls(self) -> list[str]:
        """The names of the recorded calls."""
        return [call["name"] for call in self.content["calls"]]

    @property
    def model_class(self) -> Any:
        """The class, by its public name."""
        return getattr(importlib.import_module("dovetail"), self.content["model"])

    def weights(self) -> dict[str, Tensor]:
        """The checkpoint's tensors, without those that a model computes itself."""
        return {
            name: torch.from_numpy(seeded.weight(name, shape, self.content["recipes"]))
            for name, shape in self.content["tensors"].items()
            if isinstance(shape, list)
        }

    def write_checkpoint(self, folder: str | Path) -> None:
        """Write the checkpoint that the reference would have saved."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(self.content["config"]))
        save_file(self.weights(), folder / "model.safetensors", metadata={"format": "pt"})

    def load(self, folder: str | Path, **arguments: Any) -> Any:
        """The model, loaded from `folder`, where its checkpoint is written first."""
        self.write_checkpoint(folder)
        return self.model_class.from_pretrained(folder, **self.content["arguments"], **arguments)

    def check_call(self, model: Any, name: str) -> None:
        """Run the call `name` and compare; raises `GoldenMismatch`."""
        call = next(call for call in self.content["calls"] if call["name"] == name)
        if call.get("training"):  # a copy, since it counts statistics
            model = copy.deepcopy(model).train()
            torch.manual_seed(0)
        output = run_call(model, call)
        differences = list(compare(output, call["outputs"], ""))
        if "gradients" in call:
            output["loss"].backward()
            differences += compare_gradients(model, call["gradients"])
        self.report(f"call {name!r}", differences)

    def check_saved(self, model: Any, folder: str | Path) -> None:
        """Save `model` to `folder`; compare names, shapes and values; raises `GoldenMismatch`."""
        model.save_pretrained(folder)
        saved = load_file(Path(folder) / "model.safetensors")
        wanted = self.content["tensors"]
        differences = [f"tensor {name} is not saved" for name in sorted(set(wanted) - set(saved))]
        differences += [f"tensor {name} is saved" for name in sorted(set(saved) - set(wanted))]
        for name, tensor in self.weights().items():
            if name in saved and not torch.equal(saved[name], tensor):
                shape = tuple(saved[name].shape)
                differences.append(f"tensor {name}: saved as {shape} with other values")
        self.report("save_pretrained", differences)

    def report(self, what: str, differences: list[str]) -> None:
        """Raise `GoldenMismatch` when there are `differences`."""
        if differences:
            where = f"{self.path.parent.name}/{self.path.name}, {what}"
            raise GoldenMismatch(f"{where}:\n  " + "\n  ".join(differences))


def golden_files(folder: str | Path) -> list[Path]:
    """The golden files of models under `folder`, sorted."""
    return sorted(path for path in Path(folder).rglob("*.json") if path.name != "config.json")


def run_call(model: Any, call: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs of the last step of `call`, with void positions blanked."""
    output: Any = None
    inputs: dict[str, Any] = {}
    method = call.get("method", "forward")
    model.zero_grad()
    for step in call["steps"]:
        inputs = {name: decode(value, output) for name, value in step.items()}
        with torch.set_grad_enabled("gradients" in call):
            output = model(**inputs) if method == "forward" else getattr(model, method)(**inputs)
    fields = {"sequences": output} if isinstance(output, Tensor) else dict(output.items())
    if method != "forward":
        fields.pop("past_key_values", None)
    if "blank" in call:
        mask = inputs[call["blank"]]
        return {name: blank_padding(name, value, mask) for name, value in fields.items()}
    return fields


def decode(value: Any, previous: Any) -> Any:
    """A live input from its stored form; `previous` is the previous step's output."""
    if isinstance(value, list):
        return [decode(item, previous) for item in value]
    if not isinstance(value, dict):
        return value
    if "fields" in value:
        return {name: decode(item, previous) for name, item in value["fields"].items()}
    if "ints" in value:
        return torch.tensor(value["ints"], dtype=torch.long)
    if "bools" in value:
        return torch.tensor(value["bools"], dtype=torch.bool)
    if "values" in value:
        return torch.tensor(value["values"], dtype=torch.float32)
    if "floats" in value:
        return torch.from_numpy(seeded.noise(value["seed"], value["floats"], 0.0, value["spread"]))
    if "together" in value:
        return torch.from_numpy(seeded.together(_arrays(decode(value["together"], previous))))
    if "tuple" in value:
        return tuple(decode(item, previous) for item in value["tuple"])
    return previous[value["output"]]


def _arrays(value: Any) -> Any:
    return [_arrays(each) for each in value] if isinstance(value, list) else value.numpy()


def blank_padding(field: str, value: Any, mask: Tensor) -> Any:
    """`value` with zeros at positions (queries, or keys of a cache) where `mask` (B, S) is zero."""
    if isinstance(value, Cache):
        value = value.to_legacy_cache()
    if isinstance(value, tuple):
        return tuple(blank_padding(field, item, mask) for item in value)
    if field not in POSITION_AXIS:
        return value
    axis = POSITION_AXIS[field]
    rows = mask[:, mask.shape[1] - value.shape[axis] :].bool()
    shape = [1] * value.dim()
    shape[0], shape[axis] = rows.shape
    return value.masked_fill(~rows.view(shape), 0)


def compare(ours: Any, golden: Any, where: str) -> Iterator[str]:
    """Each difference between an output of ours and what the golden file holds for it."""
    if isinstance(ours, Cache):
        ours = ours.to_legacy_cache()
    if isinstance(golden, dict) and "projection" in golden:
        yield from compare_tensor(ours, golden, where)
    elif isinstance(golden, dict) and "ints" in golden:
        if not isinstance(ours, Tensor) or ours.tolist() != golden["ints"]:
            got = ours.tolist() if isinstance(ours, Tensor) else ours
            yield f"{where}: got {got}, expected {golden['ints']}"
    elif isinstance(golden, dict):
        if list(ours) != list(golden):
            yield f"fields are {list(ours)}, expected {list(golden)}"
        for name in golden.keys() & ours.keys():
            yield from compare(ours[name], golden[name], name)
    elif isinstance(golden, list):
        if not isinstance(ours, tuple | list) or len(ours) != len(golden):
            kind = f"{len(ours)} items" if isinstance(ours, tuple | list) else type(ours).__name__
            yield f"{where}: got {kind}, expected {len(golden)} items"
            return
        for index, (mine, other) in enumerate(zip(ours, golden, strict=True)):
            yield from compare(mine, other, f"{where}.{index}")
    elif ours != golden:
        yield f"{where}: got {ours!r}, expected {golden!r}"


def compare_tensor(ours: Any, golden: Mapping[str, Any], where: str) -> Iterator[str]:
    """The numbers of a fingerprint that differ by more than `TOLERANCE`, absolute or relative."""
    if not isinstance(ours, Tensor):
        yield f"{where}: got {type(ours).__name__}, expected a tensor of shape {golden['shape']}"
        return
    if list(ours.shape) != golden["shape"]:
        yield f"{where}: shape {list(ours.shape)}, expected {golden['shape']}"
        return
    mine = seeded.fingerprint(ours.detach().double().numpy(), where)
    for name, expected in golden.items():
        if name != "shape" and not close(mine[name], expected):
            yield f"{where}: {name} is {mine[name]}, expected {expected}"


def close(ours: float | list[float], golden: float | list[float]) -> bool:
    """Whether numbers, or lists of them, agree to `TOLERANCE`."""
    pairs: Iterable[tuple[Any, Any]] = ((ours, golden),)
    if isinstance(ours, list) and isinstance(golden, list):
        pairs = zip(ours, golden, strict=True)
    return all(math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE) for a, b in pairs)


def compare_gradients(model: nn.Module, golden: Mapping[str, list[float]]) -> Iterator[str]:
    """Differences of gradients, by the checkpoint's names, from stored norms and projections."""
    own = {
        name: MemoryTensor(parameter.grad)
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }
    steps: Any = getattr(model, "weight_mapping", ())
    named = to_checkpoint(own, steps, model.config) if steps else own
    gradients = {name: tensor.get().double() for name, tensor in named.items()}
    for name in sorted(gradients.keys() ^ golden.keys()):
        yield f"gradient of {name}: {'expected' if name in golden else 'not expected'}"
    for name in gradients.keys() & golden.keys():
        projection = seeded.fingerprint(gradients[name].numpy(), name)["projection"]
        mine = [float(gradients[name].norm()), projection]
        if not close(mine, golden[name]):
            yield f"gradient of {name}: norm and projection {mine}, expected {golden[name]}"

"""Running the reference library on a case and writing down what it says."""

from __future__ import annotations

import copy
import json
import math
import tempfile
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from cases import Call, Case, Family, seeded
from torch import Tensor, nn

DIGITS = 8
POSITION_AXIS = {
    "last_hidden_state": 1,
    "logits": 1,
    "hidden_states": 1,
    "attentions": 2,
    "cross_attentions": 2,
    "past_key_values": 2,
}
NUDGE = 5e-7
STABLE = 3e-5
"""Moving weights by `NUDGE` of themselves may move outputs so far, or 1e-4 is too much to ask."""


def decode(value: Any, previous: Any) -> Any:
    """A live input from its stored form."""
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


def encode(value: Any, name: str) -> Any:
    """The stored form of an output."""
    if hasattr(value, "ssm_states"):
        layers = range(len(value.conv_states))
        return encode([(value.conv_states[i], value.ssm_states[i]) for i in layers], name)
    if isinstance(value, transformers.Cache):
        return encode(value.to_legacy_cache(), name)
    if isinstance(value, tuple | list):
        return [encode(item, f"{name}.{index}") for index, item in enumerate(value)]
    if isinstance(value, dict):
        return {key: encode(item, key) for key, item in value.items() if item != ()}
    if not isinstance(value, Tensor):
        return value
    if not value.is_floating_point():
        return {"ints": value.tolist()}
    return seeded.fingerprint(value.detach().double().numpy(), name)


def blank_padding(field: str, value: Any, mask: Tensor) -> Any:
    """`value` with zeros where `mask` (B, S) is zero: at queries, or at keys for caches."""
    if isinstance(value, transformers.Cache):
        value = value.to_legacy_cache()
    if isinstance(value, tuple):
        return tuple(blank_padding(field, item, mask) for item in value)
    if field not in POSITION_AXIS or not isinstance(value, Tensor):
        return value
    axis = POSITION_AXIS[field]
    rows = mask[:, mask.shape[1] - value.shape[axis] :].bool()
    shape = [1] * value.dim()
    shape[0], shape[axis] = rows.shape
    return value.masked_fill(~rows.view(shape), 0)


def run(model: nn.Module, call: Call) -> tuple[dict[str, Any], dict[str, Any]]:
    """Outputs of the last step, and gradients when they are asked for."""
    output: Any = None
    if call.training:  # a copy, since it counts statistics
        model = copy.deepcopy(model).train()
        torch.manual_seed(0)
    model.zero_grad()
    for step in call.steps:
        inputs = {key: decode(value, output) for key, value in step.items()}
        with torch.set_grad_enabled(call.gradients):
            output = getattr(model, call.method)(**copy.deepcopy(inputs))
    if isinstance(output, Tensor):
        output = {"sequences": output}
    unwanted = (*call.without, *(() if call.method == "forward" else ("past_key_values",)))
    fields = {key: value for key, value in output.items() if value != () and key not in unwanted}
    if call.blank is not None:
        fields = {
            key: blank_padding(key, value, inputs[call.blank]) for key, value in fields.items()
        }
    gradients: dict[str, Any] = {}
    if call.gradients:
        output["loss"].backward()
        gradients = {
            name: gradient_print(p.grad, name)
            for name, p in model.named_parameters()
            if p.grad is not None
        }
    return {key: encode(value, key) for key, value in fields.items()}, gradients


def gradient_print(gradient: Tensor, name: str) -> list[float]:
    """Norm and projection, enough for a gradient."""
    return [
        float(gradient.double().norm()),
        seeded.fingerprint(gradient.double().numpy(), name)["projection"],
    ]


def fill(
    model: nn.Module, names: list[str], recipes: dict[str, tuple[float, float]]
) -> dict[str, Any]:
    """Give the tensors `names` of a checkpoint their seeded values; tied ones follow suit.

    Returns what the golden file lists: name to shape, or to shape and dtype where the model
    computes the tensor itself.
    """
    state = model.state_dict()
    listed: dict[str, Any] = {}
    for name in sorted(names):
        tensor = state[name]
        listed[name] = list(tensor.shape)
        if tensor.is_floating_point():
            tensor.copy_(torch.from_numpy(seeded.weight(name, tensor.shape, recipes)))
        else:
            listed[name] = {
                "shape": list(tensor.shape),
                "dtype": str(tensor.dtype).removeprefix("torch."),
            }
    filled = {state[name].data_ptr() for name in names}
    computed = getattr(model, "_keys_to_ignore_on_save", None) or ()
    left = [
        name
        for name, tensor in state.items()
        if tensor.numel() and name not in computed and tensor.data_ptr() not in filled
    ]
    if left:
        raise ValueError(f"the saved checkpoint leaves out {left}, which no saved tensor shares")
    return listed


def build(case: Case, family: Family) -> tuple[nn.Module, dict[str, Any], dict[str, Any]]:
    """The filled model, its ``config.json`` and its list of tensors."""
    config_class = attrgetter(case.config_class or family.config_class)(transformers)
    config = config_class(**copy.deepcopy(case.config))
    config._attn_implementation_internal = "eager"
    torch.manual_seed(0)
    model = getattr(transformers, case.model)(config, **case.arguments).eval()
    with tempfile.TemporaryDirectory() as folder:
        names = saved_names(model, Path(folder))
        saved = json.loads((Path(folder) / "config.json").read_text())
    with torch.no_grad():
        tensors = fill(model, names, family.recipes)
    return model, saved, tensors


def saved_names(model: nn.Module, folder: Path) -> list[str]:
    """The tensors of the checkpoint that `model` saves in `folder`. Where it refuses to, because
    it shares tensors without saying so, each counts once, by the name with the fewest parts."""
    try:
        model.save_pretrained(folder)
    except RuntimeError:
        model.save_pretrained(folder, safe_serialization=False)
        by_length = sorted(model.state_dict().items(), key=lambda item: item[0].count("."))
        first = {tensor.data_ptr(): name for name, tensor in reversed(by_length)}
        return list(first.values())
    with open(folder / "model.safetensors", "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return [name for name in header if name != "__metadata__"]


def record(case: Case, family: Family) -> dict[str, Any]:
    """The golden file of `case`; refuses calls whose result rounding decides."""
    model, config, tensors = build(case, family)
    other = nudged(model)
    calls = []
    for call in case.calls:
        outputs, gradients = run(model, call)
        compare(outputs, run(other, call)[0], f"{case.name} {call.name}")
        entry = {"name": call.name, "steps": call.steps, "outputs": outputs}
        entry |= {"method": call.method} if call.method != "forward" else {}
        entry |= {"blank": call.blank} if call.blank else {}
        entry |= {"training": True} if call.training else {}
        entry |= {"gradients": gradients} if gradients else {}
        calls.append(entry)
    torch_version = torch.__version__.partition("+")[0]
    return {
        "reference": f"transformers {transformers.__version__}, torch {torch_version}",
        "model": case.model,
        "config_class": (case.config_class or family.config_class).rpartition(".")[2],
        "config": config,
        "arguments": case.arguments,
        "recipes": family.recipes,
        "tensors": tensors,
        "calls": calls,
    }


def nudged(model: nn.Module) -> nn.Module:
    """A copy whose weights differ as if they had been rounded."""
    other = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1 + NUDGE * torch.randn(parameter.shape, generator=generator))
    return other


def compare(ours: Any, exact: Any, where: str) -> None:
    """Refuse a case whose results rounding decides."""
    if isinstance(ours, dict):
        for key in ours:
            compare(ours[key], exact[key], f"{where} {key}")
    elif isinstance(ours, list):
        for index, (a, b) in enumerate(zip(ours, exact, strict=True)):
            compare(a, b, f"{where}[{index}]")
    elif not (near(ours, exact) if isinstance(ours, float) else ours == exact):
        raise ValueError(
            f"{where}: {ours} becomes {exact} when weights move by {NUDGE}: "
            "choose inputs that rounding does not decide"
        )


def near(ours: float, exact: float) -> bool:
    """Whether two numbers differ by no more than rounding explains."""
    return math.isclose(ours, exact, rel_tol=STABLE, abs_tol=STABLE)


def rounded(value: Any) -> Any:
    """`value` with floats at `DIGITS` significant digits."""
    if isinstance(value, float):
        return float(np.format_float_positional(value, DIGITS, fractional=False)) if value else 0.0
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list | tuple) else value


def dump(value: Any, indent: str = "") -> str:
    """JSON with a line for each entry of an outer mapping or list, and short values on one line."""
    flat = json.dumps(value, separators=(", ", ": "))
    if (
        len(flat) + len(indent) <= 160
        or not isinstance(value, dict | list)
        or (isinstance(value, dict) and "shape" in value)
    ):
        return flat
    inner = indent + " "
    if isinstance(value, dict):
        rows = [f"{inner}{json.dumps(key)}: {dump(item, inner)}" for key, item in value.items()]
        return "{\n" + ",\n".join(rows) + f"\n{indent}}}"
    return "[\n" + ",\n".join(inner + dump(item, inner) for item in value) + f"\n{indent}]"

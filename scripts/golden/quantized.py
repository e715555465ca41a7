"""Tiny quantized checkpoints, made by the packages that define the formats.

``python scripts/golden/quantized.py [name ...]`` runs in an environment of its own (see
``requirements-quantizers.txt``), without the reference library. Each case becomes a folder of
``tests/golden/quantizers`` with the checkpoint as the Hub would hold it and, in
``dequantized.safetensors``, some of its weights as the format's own package reads them.
"""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

FOLDER = Path(__file__).resolve().parents[2] / "tests" / "golden" / "quantizers"
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 48,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "torch_dtype": "float32",
}
LAYER = "model.layers.0."
PROJECTIONS = {
    "self_attn.q_proj": (64, 64),
    "self_attn.k_proj": (32, 64),
    "self_attn.v_proj": (32, 64),
    "self_attn.o_proj": (64, 64),
    "mlp.gate_proj": (128, 64),
    "mlp.up_proj": (128, 64),
    "mlp.down_proj": (64, 128),
}
SHOWN = ("self_attn.q_proj", "mlp.down_proj")
"""Projections whose dequantized weights are kept."""
METHODS = (
    "bitsandbytes_cases",
    "compressed_cases",
    "fp8_cases",
    "grouped_cases",
    "hqq_cases",
    "quanto_cases",
)

Tensors = dict[str, Tensor]
Pack = Callable[[Tensor], tuple[Tensors, Tensor]]
"""From a weight to its packed tensors, by their names within the layer, and what they stand for."""


@dataclass
class Case:
    """A checkpoint: how its projections are packed and what its config says of it."""

    name: str
    quantization_config: dict[str, Any]
    pack: Pack
    dtype: torch.dtype = torch.float32


def weights(dtype: torch.dtype) -> tuple[Tensors, Tensors]:
    """Projections by name, and everything else."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return (torch.randn(shape, generator=generator) * 0.08).to(dtype)

    projections = {LAYER + name: normal(*shape) for name, shape in PROJECTIONS.items()}
    others = {
        "model.embed_tokens.weight": normal(48, 64) * 4,
        "lm_head.weight": normal(48, 64),
        "model.norm.weight": 1 + normal(64),
        f"{LAYER}input_layernorm.weight": 1 + normal(64),
        f"{LAYER}post_attention_layernorm.weight": 1 + normal(64),
    }
    return projections, others


def produce(case: Case) -> None:
    """Write one case."""
    projections, tensors = weights(case.dtype)
    shown = {}
    for name, weight in projections.items():
        packed, dequantized = case.pack(weight)
        tensors |= {f"{name}.{leaf}": tensor.contiguous() for leaf, tensor in packed.items()}
        if name.removeprefix(LAYER) in SHOWN:
            shown[name] = dequantized.contiguous()
    folder = FOLDER / case.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    config = CONFIG | {
        "torch_dtype": str(case.dtype).removeprefix("torch."),
        "quantization_config": case.quantization_config,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    save_file(shown, folder / "dequantized.safetensors")


def produce_original() -> None:
    """Write the weights from which all cases are made."""
    projections, tensors = weights(torch.float32)
    tensors |= {f"{name}.weight": weight for name, weight in projections.items()}
    folder = FOLDER / "original"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG, indent=1) + "\n")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def main(wanted: list[str]) -> None:
    """Write the cases whose names begin with one of `wanted`, all if there are none."""
    produce_original()
    for module in METHODS:
        for case in importlib.import_module(module).CASES:
            if not wanted or case.name.startswith(tuple(wanted)):
                produce(case)


if __name__ == "__main__":
    sys.modules["quantized"] = sys.modules["__main__"]
    main(sys.argv[1:])

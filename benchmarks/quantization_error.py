"""Size and error of every method that quantizes here, on the real MiniLM checkpoint.

The error is that of the last hidden states, relative to float32, on text that no method saw; GPTQ
is calibrated on another part of the text and compared with rounding to the nearest code.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

import torch
from fixtures import TEXT
from huggingface_hub import snapshot_download

from dovetail import AutoModel, AutoTokenizer

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
METHODS: dict[str, dict[str, Any]] = {
    "int8": {"quant_method": "int8"},
    "int4": {"quant_method": "int4"},
    "bitsandbytes, 8 bits": {"quant_method": "bitsandbytes", "load_in_8bit": True},
    "bitsandbytes, nf4": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
    "bitsandbytes, fp4": {"load_in_4bit": True, "bnb_4bit_quant_type": "fp4"},
    "hqq, 8 bits": {"quant_method": "hqq", "nbits": 8},
    "hqq, 4 bits": {"quant_method": "hqq", "nbits": 4},
    "hqq, 3 bits": {"quant_method": "hqq", "nbits": 3},
    "hqq, 2 bits": {"quant_method": "hqq", "nbits": 2, "group_size": 16},
    "quanto, int8": {"quant_method": "quanto", "weights": "int8"},
    "quanto, float8": {"quant_method": "quanto", "weights": "float8"},
    "quanto, int4": {"quant_method": "quanto", "weights": "int4"},
    "quanto, int2": {"quant_method": "quanto", "weights": "int2"},
    "fbgemm_fp8": {"quant_method": "fbgemm_fp8"},
    "fp8, blocks": {"quant_method": "fp8"},
}
GPTQ = {"quant_method": "gptq", "group_size": 128, "sym": False, "desc_act": True}


def passages(text: str, count: int, start: int) -> list[str]:
    """`count` parts of `text` of some 120 words, from the word `start`."""
    words = text.split()
    return [" ".join(words[start + 120 * n : start + 120 * (n + 1)]) for n in range(count)]


def states(model: Any, tokenizer: Any, texts: list[str]) -> torch.Tensor:
    """The last hidden states of all tokens (N, D)."""
    batch = tokenizer(texts, return_tensors="pt", padding=True, truncation=True, max_length=128)
    with torch.inference_mode():
        return model(**batch).last_hidden_state[batch["attention_mask"].bool()]


def row(name: str, model: Any, base: torch.Tensor, tokenizer: Any, texts: list[str]) -> None:
    """Print a method's size, that of its saved checkpoint, and its error."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        size = sum(path.stat().st_size for path in Path(folder).glob("*.safetensors"))
    error = (states(model, tokenizer, texts) - base).norm() / base.norm()
    print(f"| {name} | {size / 1e6:.1f} | {100 * error.item():.2f} % |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default=MODEL)
    source = parser.parse_args().model
    folder = source if os.path.isdir(source) else snapshot_download(source)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = TEXT.read_text()
    seen, unseen = passages(text, 32, 0), passages(text, 12, 32 * 120)
    plain = AutoModel.from_pretrained(folder)
    base = states(plain, tokenizer, unseen)
    print("| method | MB | error |\n|---|---|---|")
    row("float32", plain, base, tokenizer, unseen)
    for name, config in METHODS.items():
        model = AutoModel.from_pretrained(folder, quantization_config=config)
        row(name, model, base, tokenizer, unseen)
    for bits in (8, 4, 3, 2):
        config = GPTQ | {"bits": bits, "dataset": seen, "tokenizer": tokenizer}
        model = AutoModel.from_pretrained(folder, quantization_config=config)
        row(f"gptq, {bits} bits", model, base, tokenizer, unseen)
        row(f"gptq's format, {bits} bits, rounded", rounded(folder, model), base, tokenizer, unseen)


def rounded(folder: str, calibrated: Any) -> Any:
    """`calibrated` again, each weight rounded to the nearest code without looking at texts."""
    from dovetail_quantizers.gptq.layers import GPTQLinear

    plain = AutoModel.from_pretrained(folder)
    for name, layer in calibrated.named_modules():
        if isinstance(layer, GPTQLinear):
            if layer.joint is not None:
                layer.joint.dissolve()
            layer.quantize(plain.get_submodule(name).weight.detach())
    return calibrated


if __name__ == "__main__":
    main()

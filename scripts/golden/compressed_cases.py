"""Checkpoints of compressed-tensors, compressed and read by its package."""

from __future__ import annotations

import compressed_tensors.compressors  # noqa: F401  registers the formats
import torch
from compressed_tensors.compressors.base import BaseCompressor
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from compressed_tensors.quantization.utils import calculate_qparams
from quantized import Case, Pack
from torch import Tensor


def extremes(weight: Tensor, args: QuantizationArgs) -> tuple[Tensor, Tensor]:
    """The least and the greatest of what shares a scale, in the shape of the scales."""
    if args.strategy == "tensor":
        return weight.min(), weight.max()
    if args.strategy == "channel":
        return weight.amin(1, keepdim=True), weight.amax(1, keepdim=True)
    rows, columns = args.block_structure or (1, args.group_size)
    tiles = [band.split(columns, 1) for band in weight.split(rows)]
    if args.strategy == "group":
        return tuple(
            torch.stack([bound(tile, 1) for tile in weight.split(columns, 1)], 1)
            for bound in (torch.amin, torch.amax)
        )
    return tuple(
        torch.stack([torch.stack([bound(tile) for tile in band]) for band in tiles])
        for bound in (torch.min, torch.max)
    )


def compressed(form: str, settings: dict) -> Pack:
    """A pack by the package's compressor of this format."""

    def pack(weight: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        args = QuantizationArgs(**settings)
        scheme = QuantizationScheme(targets=["Linear"], weights=args)
        scale, zero = calculate_qparams(*extremes(weight, args), args)
        compressor = BaseCompressor.get_value_from_registry(form)
        tensors = {"weight": weight, "weight_scale": scale, "weight_zero_point": zero}
        packed = compressor.compress(tensors, scheme)
        return packed, compressor.decompress(packed, scheme)["weight"]

    return pack


def case(name: str, form: str, activations: dict | None = None, **settings: object) -> Case:
    """A checkpoint whose projections all share these settings."""
    settings = {"num_bits": 8, "type": "int", "symmetric": True} | settings
    group = {
        "targets": ["Linear"],
        "weights": settings,
        "input_activations": activations,
        "output_activations": None,
    }
    config = {
        "quant_method": "compressed-tensors",
        "format": form,
        "config_groups": {"group_0": group},
        "ignore": ["lm_head"],
        "kv_cache_scheme": None,
        "global_compression_ratio": None,
        "quantization_status": "compressed",
    }
    return Case(f"compressed-{name}", config, compressed(form, settings))


DYNAMIC = {"num_bits": 8, "type": "int", "symmetric": True, "dynamic": True, "strategy": "token"}
CASES = [
    *(
        case(
            f"pack-{bits}{'' if symmetric else '-asymmetric'}",
            "pack-quantized",
            num_bits=bits,
            symmetric=symmetric,
            strategy="group",
            group_size=32,
        )
        for bits, symmetric in ((1, True), (2, False), (3, False), (4, True), (4, False), (6, True))
    ),
    case(
        "pack-5-channel-asymmetric",
        "pack-quantized",
        num_bits=5,
        strategy="channel",
        symmetric=False,
    ),
    case("pack-7-tensor", "pack-quantized", num_bits=7, strategy="tensor"),
    case("pack-8-channel", "pack-quantized", num_bits=8, strategy="channel"),
    case("int-channel", "int-quantized", DYNAMIC, strategy="channel"),
    case("int-channel-asymmetric", "int-quantized", DYNAMIC, strategy="channel", symmetric=False),
    case("int-tensor", "int-quantized", DYNAMIC, strategy="tensor"),
    case("naive-4-group", "naive-quantized", num_bits=4, strategy="group", group_size=64),
    case("float-tensor", "float-quantized", type="float", strategy="tensor"),
    case("float-channel", "float-quantized", type="float", strategy="channel"),
    case(
        "float-blocks",
        "float-quantized",
        type="float",
        strategy="block",
        block_structure=[48, 48],
    ),
]

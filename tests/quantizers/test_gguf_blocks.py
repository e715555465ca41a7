"""Blocks of GGUF files, bit for bit as the gguf package reads and writes them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dovetail.errors import CheckpointError, ConfigError
from dovetail_quantizers.gguf.blocks import FORMATS, dequantize, quantize

GOLDEN = load_file(Path(__file__).parents[1] / "golden/quantizers/gguf-blocks.safetensors")
WRITTEN = sorted(name for name, one in FORMATS.items() if one.write is not None)


def same_bits(found: torch.Tensor, expected: torch.Tensor) -> bool:
    return torch.equal(found.view(torch.int32), expected.view(torch.int32))


def test_the_formats_promised_are_there() -> None:
    read = {name.removesuffix(".bytes") for name in GOLDEN if name.endswith(".bytes")}
    assert set(FORMATS) == read
    assert WRITTEN == ["F16", "Q4_0", "Q8_0"]


@pytest.mark.parametrize("name", FORMATS)
def test_blocks_stand_for_what_the_package_reads(name: str) -> None:
    data, expected = GOLDEN[f"{name}.bytes"], GOLDEN[f"{name}.numbers"]
    found = dequantize(data, name)
    assert found.dtype is torch.float32
    assert same_bits(found, expected)
    assert same_bits(dequantize(data.unsqueeze(1), name), expected.unsqueeze(1))
    assert dequantize(data[:0], name).shape == (0, expected.shape[1])
    assert dequantize(data[:, :0], name).shape == (len(data), 0)


@pytest.mark.parametrize("name", FORMATS)
def test_blocks_are_read_out_of_a_larger_tensor(name: str) -> None:
    data, expected = GOLDEN[f"{name}.bytes"], GOLDEN[f"{name}.numbers"]
    wide = torch.nn.functional.pad(data, (2, 4))
    assert same_bits(dequantize(wide[:, 2:-4], name), expected)


@pytest.mark.parametrize("name", WRITTEN)
def test_weights_are_written_as_the_package_does(name: str) -> None:
    weight, expected = GOLDEN["weight"], GOLDEN[f"{name}.packed"]
    assert torch.equal(quantize(weight, name), expected)
    assert torch.equal(quantize(weight.t().contiguous().t(), name), expected)
    assert torch.equal(quantize(torch.nn.Parameter(weight), name), expected)


# Q8_0 rounds to half a step and its scale to float16; of Q4_0, from -8 to 7, one end is cut off.
@pytest.mark.parametrize(("name", "limit"), [("Q8_0", 0.57 / 127), ("Q4_0", 1.01 / 8)])
def test_written_weights_lie_near(name: str, limit: float) -> None:
    weight = torch.randn(16, 32, generator=torch.Generator().manual_seed(0))
    error = (dequantize(quantize(weight, name), name) - weight).abs()
    assert (error <= weight.abs().amax(1, keepdim=True) * limit).all()


@pytest.mark.parametrize("name", ["Q8_0", "Q4_0"])
def test_numbers_too_small_for_a_scale_become_zeros(name: str) -> None:
    tiny = torch.full((1, 32), -1e-38)
    assert not dequantize(quantize(tiny, name), name).any()


def test_what_is_no_format_is_named() -> None:
    with pytest.raises(ConfigError, match=r"'IQ1_S' is no block format.*Q4_K"):
        dequantize(torch.zeros(50, dtype=torch.uint8), "IQ1_S")
    with pytest.raises(ConfigError, match=r"Q4_K is read, not written.*F16, Q4_0, Q8_0"):
        quantize(torch.zeros(1, 256), "Q4_K")


@pytest.mark.parametrize(
    "data",
    [
        torch.zeros(2, 143, dtype=torch.uint8),
        torch.zeros(2, 144, dtype=torch.int8),
        torch.tensor(0, dtype=torch.uint8),
    ],
    ids=["cut off", "another type", "a number"],
)
def test_bytes_that_are_no_blocks_are_refused(data: torch.Tensor) -> None:
    with pytest.raises(CheckpointError, match="multiples of 144 bytes"):
        dequantize(data, "Q4_K")


def test_rows_that_blocks_do_not_divide_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"multiple of 32 numbers.*\(2, 48\)"):
        quantize(torch.zeros(2, 48), "Q8_0")


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e38])
def test_weights_that_float16_cannot_hold_are_refused(name: str, value: float) -> None:
    weight = torch.ones(2, 32)
    weight[1, 3] = value
    with pytest.raises(CheckpointError, match="float16 ends at 65504"):
        quantize(weight, name)

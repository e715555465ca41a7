"""The interface of quantization methods, and how loading and saving call it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from safetensors.torch import load_file
from tests.core.tiny import TinyConfig, TinyForCausalLM, equal_states, tiny
from torch import Tensor, nn

from dovetail import registry
from dovetail.declarations import QuantizerDeclaration
from dovetail.errors import ConfigError, MissingPluginError, UnknownNameError
from dovetail.load_options import LoadOptions
from dovetail.quantizers import (
    AutoHfQuantizer,
    AutoQuantizationConfig,
    HfQuantizer,
    QuantizationConfigMixin,
    get_keys_to_not_convert,
    is_skipped,
    method_of,
    replace_linear,
)


@dataclass
class RoundingConfig(QuantizationConfigMixin):
    """Whole multiples of a step per row."""

    quant_method: str = "rounding"
    levels: int = 127
    compute_dtype: Any = torch.float32
    skip: list[str] = field(default_factory=list)
    loading_attributes: ClassVar[tuple[str, ...]] = ("compute_dtype",)


class RoundedLinear(nn.Module):
    def __init__(self, rows: int, columns: int, bias: bool) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(rows, columns, dtype=torch.int8))
        self.register_buffer("scale", torch.zeros(rows, 1))
        self.bias = nn.Parameter(torch.zeros(rows)) if bias else None

    def forward(self, values: Tensor) -> Tensor:
        return nn.functional.linear(values, self.weight * self.scale, self.bias)


class Rounding(HfQuantizer):
    """A real method, small enough for a test."""

    seen: ClassVar[list[str]] = []

    def validate_environment(self, **kwargs: Any) -> None:
        super().validate_environment(**kwargs)
        self.seen.append("validate")

    def _process_model_before_weight_loading(self, model: nn.Module, **kwargs: Any) -> None:
        skipped = [*self.quantization_config.skip, *get_keys_to_not_convert(model)]
        replace_linear(model, self._packed, skipped)
        self.seen.append("before")

    @staticmethod
    def _packed(linear: nn.Linear) -> nn.Module:
        packed = RoundedLinear(linear.out_features, linear.in_features, linear.bias is not None)
        return packed.to("meta")

    def update_missing_keys(self, model: nn.Module, missing: list[str], prefix: str) -> list[str]:
        return [name for name in missing if not name.endswith(".scale")]

    def check_quantized_param(
        self, model: nn.Module, param_value: Tensor, param_name: str, state_dict: Any, **kwargs: Any
    ) -> bool:
        assert param_value.is_meta
        path, _, leaf = param_name.rpartition(".")
        packed = isinstance(model.get_submodule(path), RoundedLinear)
        return packed and leaf == "weight" and param_value.dtype.is_floating_point

    def create_quantized_param(
        self,
        model: nn.Module,
        param_value: Tensor,
        param_name: str,
        target_device: torch.device,
        state_dict: Any,
        unexpected_keys: list[str] | None = None,
    ) -> None:
        module: Any = model.get_submodule(param_name.rpartition(".")[0])
        scale = param_value.abs().amax(1, keepdim=True) / self.quantization_config.levels
        module.scale = scale.to(target_device)
        module.weight = (param_value / scale).round().to(torch.int8).to(target_device)
        assert torch.equal(state_dict[param_name], param_value)

    def _process_model_after_weight_loading(self, model: nn.Module, **kwargs: Any) -> None:
        self.seen.append("after")

    def _dequantize(self, model: nn.Module) -> nn.Module:
        for name, module in list(model.named_modules()):
            if isinstance(module, RoundedLinear):
                rows, columns = module.weight.shape
                linear = nn.Linear(columns, rows, bias=module.bias is not None)
                linear.weight.data = module.weight * module.scale
                if module.bias is not None:
                    linear.bias = module.bias
                model.set_submodule(name, linear)
        return model

    def is_serializable(self, safe_serialization: bool | None = None) -> bool:
        return bool(safe_serialization)


@pytest.fixture(autouse=True)
def rounding() -> Iterator[None]:
    declaration = QuantizerDeclaration("rounding", Rounding, RoundingConfig)  # type: ignore[arg-type]
    registry.quantizers().add(declaration)
    Rounding.seen.clear()
    yield
    registry.quantizers().remove("rounding")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    tiny().save_pretrained(tmp_path / "saved")
    return tmp_path / "saved"


def test_quantize_while_loading(saved: Path) -> None:
    model = TinyForCausalLM.from_pretrained(saved, quantization_config=RoundingConfig())
    up = model.model.layers[0].up
    assert isinstance(up, RoundedLinear)
    assert up.weight.dtype == torch.int8
    original = tiny().model.layers[0].up
    assert torch.allclose(up.weight * up.scale, original.weight, atol=0.05)
    assert torch.equal(up.bias, original.bias)
    assert isinstance(model.lm_head, nn.Linear)
    assert model.is_quantized
    assert model.quantization_method == "rounding"
    assert model.hf_quantizer.pre_quantized is False
    assert Rounding.seen == ["validate", "before", "after"]
    ids = torch.tensor([[1, 2, 3]])
    assert torch.allclose(model(ids), tiny()(ids), atol=0.5)


def test_a_quantized_checkpoint_saves_and_loads_as_it_is(saved: Path, tmp_path: Path) -> None:
    model = TinyForCausalLM.from_pretrained(saved, quantization_config=RoundingConfig())
    model.save_pretrained(tmp_path / "packed")
    held = load_file(tmp_path / "packed" / "model.safetensors")
    assert held["model.layers.0.up.weight"].dtype == torch.int8
    written = json.loads((tmp_path / "packed" / "config.json").read_text())
    assert written["quantization_config"]["quant_method"] == "rounding"
    loaded, info = TinyForCausalLM.from_pretrained(tmp_path / "packed", output_loading_info=True)
    assert info["missing_keys"] == info["unexpected_keys"] == []
    assert loaded.hf_quantizer.pre_quantized
    assert equal_states(loaded, model)


def test_skipped_modules(saved: Path) -> None:
    config = RoundingConfig(skip=["layers.1"])
    model = TinyForCausalLM.from_pretrained(saved, quantization_config=config)
    assert isinstance(model.model.layers[0].up, RoundedLinear)
    assert isinstance(model.model.layers[1].up, nn.Linear)


def test_a_config_as_values(saved: Path) -> None:
    values = {"quant_method": "rounding", "levels": 7}
    model = TinyForCausalLM.from_pretrained(saved, quantization_config=values)
    assert model.config.quantization_config.levels == 7


def test_dequantize(saved: Path) -> None:
    model = TinyForCausalLM.from_pretrained(saved, quantization_config=RoundingConfig())
    plain = model.hf_quantizer.dequantize(model)
    assert isinstance(plain.model.layers[0].up, nn.Linear)
    assert not plain.is_quantized
    assert not hasattr(plain.config, "quantization_config")


def test_pickled_saving_is_refused_by_the_method(saved: Path, tmp_path: Path) -> None:
    model = TinyForCausalLM.from_pretrained(saved, quantization_config=RoundingConfig())
    with pytest.raises(ConfigError, match=r"'rounding' cannot be saved with safe_serialization"):
        model.save_pretrained(tmp_path / "out", safe_serialization=False)


def test_caller_and_checkpoint_disagree(
    saved: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = TinyForCausalLM.from_pretrained(saved, quantization_config=RoundingConfig())
    model.save_pretrained(tmp_path / "packed")
    asked = RoundingConfig(levels=3, compute_dtype=torch.float64)
    with caplog.at_level("WARNING", logger="dovetail"):
        loaded = TinyForCausalLM.from_pretrained(tmp_path / "packed", quantization_config=asked)
    assert loaded.config.quantization_config.levels == 127
    assert loaded.config.quantization_config.compute_dtype == torch.float64
    assert "quantized already (rounding)" in caplog.text


def test_methods_that_need_calibration() -> None:
    class Calibrated(Rounding):
        requires_calibration = True

    with pytest.raises(ConfigError, match="needs calibration data"):
        Calibrated(RoundingConfig(), pre_quantized=False)


def test_methods_that_need_packages() -> None:
    class Needy(Rounding):
        required_packages = ("torch", "no_such_package")

    with pytest.raises(MissingPluginError, match="pip install no_such_package"):
        Needy(RoundingConfig()).validate_environment()


def test_unknown_methods(saved: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'rounding'"):
        TinyForCausalLM.from_pretrained(saved, quantization_config={"quant_method": "roundin"})
    with pytest.raises(ConfigError, match="names no quant_method"):
        AutoQuantizationConfig.from_dict({"bits": 4})


def test_methods_of_the_field() -> None:
    assert method_of({"load_in_4bit": True}) == "bitsandbytes_4bit"
    assert method_of({"quant_method": "bitsandbytes", "load_in_8bit": True}) == "bitsandbytes_8bit"
    assert method_of({"quant_method": "gptq"}) == "gptq"


def test_load_in_4bit_stands_for_a_config(saved: Path) -> None:
    options, _ = LoadOptions.take({"load_in_4bit": True})
    assert method_of(options.requested_quantization) == "bitsandbytes_4bit"
    with pytest.raises(ConfigError, match="not both"):
        TinyForCausalLM.from_pretrained(
            saved, load_in_8bit=True, quantization_config=RoundingConfig()
        )


def test_config_as_json(tmp_path: Path) -> None:
    config = RoundingConfig(levels=3)
    assert config.to_dict() == {
        "quant_method": "rounding",
        "levels": 3,
        "compute_dtype": "float32",
        "skip": [],
    }
    assert config.to_diff_dict() == {"quant_method": "rounding", "levels": 3, "skip": []}
    assert dict(config) == config.to_dict()
    config.to_json_file(tmp_path / "q.json")
    assert json.loads((tmp_path / "q.json").read_text()) == config.to_dict()
    assert json.loads(config.to_json_string(use_diff=False)) == config.to_dict()
    read, unused = RoundingConfig.from_dict(
        {"levels": 4}, return_unused_kwargs=True, levels=5, other=1
    )
    assert read.levels == 5
    assert unused == {"other": 1}


def test_auto_quantizer() -> None:
    assert isinstance(AutoHfQuantizer.from_config({"quant_method": "rounding"}), Rounding)


def test_modules_kept_in_full_precision() -> None:
    assert "lm_head" in get_keys_to_not_convert(tiny())
    tied = tiny(tie_word_embeddings=True)
    assert {"lm_head", "model.embed_tokens"} <= set(get_keys_to_not_convert(tied))
    assert is_skipped("model.layers.1.up", ["layers.1"])
    assert not is_skipped("model.layers.10.up", ["layers.1"])


def test_an_unfinished_method_is_reported(saved: Path) -> None:
    class Unfinished(HfQuantizer):
        def check_quantized_param(self, *args: Any, **kwargs: Any) -> bool:
            return True

    declaration = QuantizerDeclaration("rounding", Unfinished, RoundingConfig)  # type: ignore[arg-type]
    registry.quantizers().add(declaration, exist_ok=True)
    with pytest.raises(ConfigError, match="no create_quantized_param"):
        TinyForCausalLM.from_pretrained(
            saved, config=TinyConfig(), quantization_config=RoundingConfig()
        )


def test_peak_is_the_packed_model_and_one_tensor(saved: Path) -> None:
    """No tensor in full precision outlives its packing."""
    import weakref

    alive: list[weakref.ref[Tensor]] = []

    class Watching(Rounding):
        def create_quantized_param(
            self, model: nn.Module, param_value: Tensor, *args: Any, **kwargs: Any
        ) -> None:
            assert all(reference() is None for reference in alive)
            alive.append(weakref.ref(param_value))
            super().create_quantized_param(model, param_value, *args, **kwargs)

    declaration = QuantizerDeclaration("rounding", Watching, RoundingConfig)  # type: ignore[arg-type]
    registry.quantizers().add(declaration, exist_ok=True)
    TinyForCausalLM.from_pretrained(saved, quantization_config=RoundingConfig())
    assert len(alive) == 4

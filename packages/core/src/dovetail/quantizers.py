"""Quantization: what a method implements, and what loading does with it.

A method is two classes, declared by a plugin's hook ``dovetail_quantizers``: a config, a dataclass
on `QuantizationConfigMixin`, and a quantizer on `HfQuantizer`. Loading calls the quantizer in this
order, so that memory never holds more than the packed model and one tensor in full precision:

1. `validate_environment`: refuse early what cannot work here;
2. `update_torch_dtype`, `update_device_map`: adapt what the caller asked for;
3. `preprocess_model`: the model is on the meta device; put packed modules in place of linear ones;
4. for each tensor of the checkpoint, `check_quantized_param` says whether the method takes care of
   it; if so `create_quantized_param` packs and places it, otherwise loading places it as it is;
5. `postprocess_model`: the model is complete.
"""

from __future__ import annotations

import copy
import dataclasses
import importlib.util
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dovetail import registry
from dovetail.atomic import atomic_write
from dovetail.errors import ConfigError, MissingPluginError
from dovetail.logging import get_logger

logger = get_logger(__name__)

OLD_KEY = "compression_config"
"""Where the first checkpoints of compressed-tensors have their quantization config."""


@dataclass
class QuantizationConfigMixin:
    """The base of all quantization configs: a dataclass that reads and writes JSON objects."""

    quant_method: str

    @classmethod
    def from_dict(
        cls, config_dict: Mapping[str, Any], return_unused_kwargs: bool = False, **kwargs: Any
    ) -> Any:
        """A config from a JSON object; `kwargs` that name a setting change it.

        Returns the config, or with `return_unused_kwargs` also the `kwargs` that name none.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        strange = sorted(config_dict.keys() - known)
        if strange:
            logger.info("%s does not know the settings %s.", cls.__name__, ", ".join(strange))
        config = cls(**{name: value for name, value in config_dict.items() if name in known})
        unused = config.update(**kwargs)
        return (config, unused) if return_unused_kwargs else config

    def to_dict(self) -> dict[str, Any]:
        """All settings as JSON values."""
        return {name: _json_value(value) for name, value in copy.deepcopy(vars(self)).items()}

    def to_diff_dict(self) -> dict[str, Any]:
        """The settings that differ from their defaults, and the method."""
        plain = {
            field.name: _json_value(field.default)
            for field in dataclasses.fields(self)
            if field.default is not dataclasses.MISSING
        }
        return {
            name: value
            for name, value in self.to_dict().items()
            if name == "quant_method" or name not in plain or plain[name] != value
        }

    def to_json_string(self, use_diff: bool = True) -> str:
        """The settings as JSON text."""
        content = self.to_diff_dict() if use_diff else self.to_dict()
        return json.dumps(content, indent=2, sort_keys=True) + "\n"

    def to_json_file(self, json_file_path: str | os.PathLike[str]) -> None:
        """Write all settings to a file."""
        atomic_write(json_file_path, json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n")

    def update(self, **kwargs: Any) -> dict[str, Any]:
        """Change the settings that `kwargs` names; returns the others."""
        for name, value in kwargs.items():
            if hasattr(self, name):
                setattr(self, name, value)
        return {name: value for name, value in kwargs.items() if not hasattr(self, name)}

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        yield from self.to_dict().items()


def _json_value(value: Any) -> Any:
    return str(value).removeprefix("torch.") if isinstance(value, torch.dtype) else value


class HfQuantizer:
    """The base of all quantization methods; a method overrides what it needs.

    `requires_calibration`: checkpoints must be quantized beforehand. `required_packages`: names
    that must be importable for the method to work.
    """

    requires_calibration: ClassVar[bool] = False
    required_packages: ClassVar[Sequence[str]] = ()
    requires_parameters_quantization: ClassVar[bool] = False
    use_keep_in_fp32_modules: ClassVar[bool] = False

    def __init__(
        self,
        quantization_config: QuantizationConfigMixin,
        *,
        pre_quantized: bool = True,
        **kwargs: Any,
    ) -> None:
        self.quantization_config = quantization_config
        self.pre_quantized = pre_quantized
        self.modules_to_not_convert: list[str] = list(
            kwargs.pop("modules_to_not_convert", None) or []
        )
        if self.requires_calibration and not pre_quantized:
            raise ConfigError(
                f"The method {quantization_config.quant_method!r} needs calibration data and "
                "cannot quantize while loading: load a checkpoint that is quantized already."
            )

    def validate_environment(self, **kwargs: Any) -> None:
        """Raise an error that says what to do, if the method cannot work on this machine.

        `kwargs` hold what the caller asked for: ``torch_dtype`` and ``device_map``.
        """
        missing = [
            name for name in self.required_packages if importlib.util.find_spec(name) is None
        ]
        if missing:
            raise MissingPluginError(
                f"The quantization method {self.quantization_config.quant_method!r} needs "
                f"{', '.join(missing)}. Install with: pip install {' '.join(missing)}"
            )

    def update_torch_dtype(self, torch_dtype: torch.dtype | None) -> torch.dtype | None:
        """The data type for what is not quantized; None means torch's default."""
        return torch_dtype

    def update_device_map(self, device_map: Any) -> Any:
        """The device map, changed where the method needs it."""
        return device_map

    def adjust_max_memory(self, max_memory: Mapping[Any, Any] | None) -> Mapping[Any, Any] | None:
        """The memory limits, with room left for what the method needs besides the weights."""
        return max_memory

    def adjust_target_dtype(self, torch_dtype: torch.dtype) -> torch.dtype:
        """The data type by whose size automatic device maps count the weights."""
        return torch_dtype

    def preprocess_model(self, model: nn.Module, **kwargs: Any) -> nn.Module:
        """Prepare a model on the meta device for packed weights.

        `kwargs` hold ``device_map`` and ``keep_in_fp32_modules``.
        """
        model.is_quantized = True  # type: ignore[assignment]
        model.quantization_method = self.quantization_config.quant_method  # type: ignore[assignment]
        self._process_model_before_weight_loading(model, **kwargs)
        return model

    def _process_model_before_weight_loading(self, model: nn.Module, **kwargs: Any) -> None:
        """Replace modules; the method's part of `preprocess_model`."""

    def update_expected_keys(
        self, model: nn.Module, expected_keys: list[str], loaded_keys: list[str]
    ) -> list[str]:
        """The names that the model wants from the checkpoint."""
        return expected_keys

    def update_missing_keys(
        self, model: nn.Module, missing_keys: list[str], prefix: str
    ) -> list[str]:
        """The missing names without those that the method makes itself."""
        return missing_keys

    def update_unexpected_keys(self, model: nn.Module, unexpected_keys: list[str]) -> list[str]:
        """The left-over names without those that the method reads itself."""
        return unexpected_keys

    def check_quantized_param(
        self,
        model: nn.Module,
        param_value: Tensor,
        param_name: str,
        state_dict: Mapping[str, Tensor],
        **kwargs: Any,
    ) -> bool:
        """Whether the method places this tensor itself.

        `param_value` is on the meta device here: only its shape and type can be asked.
        """
        return False

    def create_quantized_param(
        self,
        model: nn.Module,
        param_value: Tensor,
        param_name: str,
        target_device: torch.device,
        state_dict: Mapping[str, Tensor],
        unexpected_keys: list[str] | None = None,
    ) -> None:
        """Pack `param_value` and put it into the model on `target_device`.

        `state_dict` reads further tensors of the checkpoint by name when they are asked for; those
        used are to be removed from `unexpected_keys`.
        """
        raise ConfigError(
            f"{type(self).__name__} claims the tensor {param_name!r} in check_quantized_param but "
            "has no create_quantized_param. Report this to the author of the quantizer."
        )

    def postprocess_model(self, model: nn.Module, **kwargs: Any) -> nn.Module:
        """Finish a model whose weights are all in place."""
        self._process_model_after_weight_loading(model, **kwargs)
        return model

    def _process_model_after_weight_loading(self, model: nn.Module, **kwargs: Any) -> None:
        """The method's part of `postprocess_model`."""

    def dequantize(self, model: nn.Module) -> nn.Module:
        """The model with ordinary weights in place of the packed ones."""
        model = self._dequantize(model)
        for name in ("hf_quantizer", "quantization_method"):
            model.__dict__.pop(name, None)
        model.is_quantized = False  # type: ignore[assignment]
        config: Any = getattr(model, "config", None)
        if config is not None and hasattr(config, "quantization_config"):
            del config.quantization_config
        return model

    def _dequantize(self, model: nn.Module) -> nn.Module:
        raise ConfigError(
            f"The method {self.quantization_config.quant_method!r} cannot be undone: "
            "load the original checkpoint instead."
        )

    def is_serializable(self, safe_serialization: bool | None = None) -> bool:
        """Whether ``save_pretrained`` may write the packed model."""
        return False

    @property
    def is_trainable(self) -> bool:
        """Whether a model of this method can be trained, adapters included."""
        return False


def method_of(values: Mapping[str, Any]) -> str:
    """The name under which the registry knows the method of a quantization config's values.

    Raises:
        ConfigError: the values name none.
    """
    method = values.get("quant_method")
    # Old configs of bitsandbytes name no method, and its two widths are two methods of ours.
    if method in (None, "bitsandbytes"):
        for bits in ("4bit", "8bit"):
            if values.get(f"load_in_{bits}"):
                return f"bitsandbytes_{bits}"
    if not isinstance(method, str):
        raise ConfigError(
            f"quantization_config names no quant_method (it is {method!r}). "
            f"Known methods: {', '.join(registry.quantizers().names()) or 'none'}."
        )
    return "bitsandbytes_8bit" if method == "bitsandbytes" else method


class AutoQuantizationConfig:
    """Picks the config class of a quantization method."""

    @classmethod
    def from_dict(cls, quantization_config_dict: Mapping[str, Any]) -> QuantizationConfigMixin:
        """The config that a JSON object describes.

        Raises:
            UnknownNameError: nobody provides the method.
            MissingPluginError: it belongs to a package that is not installed.
        """
        declaration = registry.quantizers().get(method_of(quantization_config_dict))
        return registry.resolve(declaration.config).from_dict(quantization_config_dict)

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any
    ) -> QuantizationConfigMixin:
        """The quantization config of a checkpoint."""
        from dovetail.auto import AutoConfig

        config = AutoConfig.from_pretrained(pretrained_model_name_or_path, **kwargs)
        values = getattr(config, "quantization_config", None)
        if values is None:
            raise ConfigError(
                f"{pretrained_model_name_or_path} is not quantized: no quantization_config."
            )
        parsed = as_config(values)
        parsed.update(**kwargs)
        return parsed


class AutoHfQuantizer:
    """Picks the quantizer class of a quantization method."""

    @classmethod
    def from_config(
        cls, quantization_config: QuantizationConfigMixin | Mapping[str, Any], **kwargs: Any
    ) -> HfQuantizer:
        """The quantizer for a config."""
        config = as_config(quantization_config)
        return registry.quantizers().load(method_of(config.to_dict()))(config, **kwargs)

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any
    ) -> HfQuantizer:
        """The quantizer for a checkpoint that is quantized."""
        config = AutoQuantizationConfig.from_pretrained(pretrained_model_name_or_path, **kwargs)
        return cls.from_config(config)

    @classmethod
    def merge_quantization_configs(
        cls,
        quantization_config: QuantizationConfigMixin | Mapping[str, Any],
        quantization_config_from_args: QuantizationConfigMixin | Mapping[str, Any] | None,
    ) -> QuantizationConfigMixin:
        """The checkpoint's config, with those settings of the caller's that may differ.

        A config class lists them in ``loading_attributes``; all else is fixed by the checkpoint,
        and a caller who says otherwise is warned.
        """
        saved = as_config(quantization_config)
        if quantization_config_from_args is None:
            return saved
        asked = as_config(quantization_config_from_args)
        free = getattr(asked, "loading_attributes", ())
        names = list(free() if callable(free) else free) if type(asked) is type(saved) else []
        saved.update(**{name: getattr(asked, name) for name in names})
        logger.warning(
            "The checkpoint is quantized already (%s): of the given quantization_config %s is "
            "used, the rest is the checkpoint's.",
            saved.quant_method,
            ", ".join(names) or "nothing",
        )
        return saved


def as_config(
    values: QuantizationConfigMixin | Mapping[str, Any] | str,
) -> QuantizationConfigMixin:
    """A quantization config from itself, its JSON object, or the name of its method."""
    if isinstance(values, str):
        values = {"quant_method": values}
    if isinstance(values, Mapping):
        return AutoQuantizationConfig.from_dict(values)
    return values


def quantizer_for(
    config: Any, requested: QuantizationConfigMixin | Mapping[str, Any] | None
) -> HfQuantizer | None:
    """The quantizer to load a model with: the checkpoint's, the one that is asked for, or none.

    Sets ``config.quantization_config`` to what is in force.
    """
    saved = getattr(config, "quantization_config", None)
    if saved is None and getattr(config, OLD_KEY, None) is not None:
        saved = {"quant_method": "compressed-tensors", **getattr(config, OLD_KEY)}
        delattr(config, OLD_KEY)
    if saved is None and requested is None:
        return None
    if saved is not None:
        chosen = AutoHfQuantizer.merge_quantization_configs(saved, requested)
    else:
        chosen = as_config(requested)  # type: ignore[arg-type]
    config.quantization_config = chosen
    return AutoHfQuantizer.from_config(chosen, pre_quantized=saved is not None)


def dequantized(model: Any) -> Any:
    """`model` with ordinary weights in place of packed ones.

    Raises:
        ConfigError: it is not quantized, or its method cannot be undone.
    """
    quantizer = getattr(model, "hf_quantizer", None)
    if quantizer is None:
        raise ConfigError(
            f"This {type(model).__name__} is not quantized: there is nothing to dequantize."
        )
    return quantizer.dequantize(model)


def get_keys_to_not_convert(model: nn.Module) -> list[str]:
    """Paths of modules to keep in full precision: the output layer, what is tied, what is last."""
    output = getattr(model, "get_output_embeddings", lambda: None)()
    names = [
        name for name, module in model.named_modules() if module is output and module is not None
    ]
    last = next((name for name, _ in reversed(list(model.named_parameters()))), "")
    tied: dict[str, str] = getattr(model, "tied_weights", dict)()
    names += [name.rpartition(".")[0] for name in (last, *tied, *tied.values())]
    return sorted({name for name in names if name})


def is_skipped(name: str, skipped: Sequence[str]) -> bool:
    """Whether the module `name` is, or lies within, one of the paths (or path parts) `skipped`."""
    return any(f".{part}." in f".{name}." for part in skipped)


def replace_linear(
    model: nn.Module,
    make: Callable[[nn.Linear], nn.Module],
    skipped: Sequence[str] = (),
    kinds: tuple[type[nn.Module], ...] = (nn.Linear,),
) -> list[str]:
    """Put ``make(module)`` in the place of every module of `kinds`; returns their paths."""
    names = [
        name
        for name, module in model.named_modules()
        if name and isinstance(module, kinds) and not is_skipped(name, skipped)
    ]
    for name in names:
        model.set_submodule(name, make(model.get_submodule(name)))  # type: ignore[arg-type]
    return names

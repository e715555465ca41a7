"""How a model is given the layers of Quanto."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dovetail_quantizers import calibration
from dovetail_quantizers.layers import PackedLinear
from dovetail_quantizers.method import PackedQuantizer
from dovetail_quantizers.quanto.layers import WIDTHS, QBitsLinear, QBytesLinear, QLinear


class QuantoHfQuantizer(PackedQuantizer):
    """See `QuantoConfig`."""

    def packed(self, name: str, linear: nn.Linear) -> PackedLinear:
        """A layer of bytes or of smaller codes."""
        config: Any = self.quantization_config
        layout = QBitsLinear if config.weights in WIDTHS else QBytesLinear
        return layout(linear, config)

    def validate_environment(self, **kwargs: Any) -> None:
        """Rounded activations need texts for calibration, unless the checkpoint has ranges."""
        super().validate_environment(**kwargs)
        if self._calibrates():
            self._examples()

    def _process_model_after_weight_loading(self, model: nn.Module, **kwargs: Any) -> None:
        super()._process_model_after_weight_loading(model, **kwargs)
        if self._calibrates():
            calibrate(model, self._examples())

    def _calibrates(self) -> bool:
        config: Any = self.quantization_config
        return config.activations is not None and not self.pre_quantized

    def _examples(self) -> list[Tensor]:
        config: Any = self.quantization_config
        return calibration.examples(
            config.dataset, config.tokenizer, "Quanto with activations", calibration.SEQUENCE
        )


def calibrate(model: nn.Module, texts: list[Tensor]) -> None:
    """Set the range of each layer's input to the largest magnitude that `texts` bring there."""
    layers: dict[str, nn.Module] = {
        n: m for n, m in model.named_modules() if isinstance(m, QLinear)
    }
    largest: dict[str, float] = dict.fromkeys(layers, 0.0)
    kept = {name: layer.activations for name, layer in layers.items() if isinstance(layer, QLinear)}

    def see(name: str, x: Tensor) -> None:
        largest[name] = max(largest[name], x.abs().max().item())

    for layer in layers.values():
        layer.activations = None  # type: ignore[assignment]
    with torch.inference_mode(), calibration.watching(layers, see):
        for ids in texts:
            model(input_ids=ids)
    for name, layer in layers.items():
        layer.activations = kept[name]  # type: ignore[assignment]
        if isinstance(layer, QLinear):
            layer.calibrate(largest[name])

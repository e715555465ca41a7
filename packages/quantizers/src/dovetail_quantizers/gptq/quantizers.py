"""How a model is given the layers of GPTQ, and how they are made from calibration texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from dovetail.layers.projections import Conv1D
from dovetail.quantizers import is_skipped
from dovetail_quantizers import calibration
from dovetail_quantizers.gptq.algorithm import compensated
from dovetail_quantizers.gptq.layers import GPTQLinear
from dovetail_quantizers.layers import PackedLinear
from dovetail_quantizers.method import PackedQuantizer, as_linear, join


class GptqHfQuantizer(PackedQuantizer):
    """See `GPTQConfig`."""

    def packed(self, name: str, linear: nn.Linear) -> PackedLinear | None:
        """A layer of groups, if the config's lists of modules allow."""
        config: Any = self.quantization_config
        wanted = config.modules_in_block_to_quantize
        if wanted is not None and not is_skipped(name, [path for part in wanted for path in part]):
            return None
        return GPTQLinear(linear, name, config)

    def validate_environment(self, **kwargs: Any) -> None:
        """Texts for calibration are needed, unless the checkpoint is quantized already."""
        super().validate_environment(**kwargs)
        if not self.pre_quantized:
            config: Any = self.quantization_config
            calibration.examples(config.dataset, config.tokenizer, "GPTQ", 1)

    def _process_model_before_weight_loading(self, model: nn.Module, **kwargs: Any) -> None:
        if self.pre_quantized:
            super()._process_model_before_weight_loading(model, **kwargs)

    def _process_model_after_weight_loading(self, model: nn.Module, **kwargs: Any) -> None:
        if not self.pre_quantized:
            with torch.no_grad():
                self._calibrate(model.eval())
        super()._process_model_after_weight_loading(model, **kwargs)

    def _calibrate(self, model: nn.Module) -> None:
        config: Any = self.quantization_config
        length = config.model_seqlen or calibration.SEQUENCE
        texts = calibration.examples(config.dataset, config.tokenizer, "GPTQ", length)
        blocks = calibration.blocks_of(model, config.block_name_to_quantize)
        calls = calibration.calls_of(model, next(iter(blocks.values())), texts)
        skipped = self.skipped(model)
        for path, block in tqdm(blocks.items(), desc="GPTQ", disable=None):
            names = [
                name
                for name in calibration.projections_of(block)
                if not is_skipped(f"{path}.{name}", skipped)
            ]
            for group in calibration.shared_inputs(block, names, calls[0]):
                self._round_group(path, block, group, calls)
            calls = calibration.following(calls, calibration.run(block, calls))
        join(model)

    def _round_group(
        self, path: str, block: nn.Module, names: Sequence[str], calls: Sequence[calibration.Call]
    ) -> None:
        """Replace projections that read the same input."""
        hessian = second_moment(block, names[0], calls)
        for name in names:
            module: Any = block.get_submodule(name)
            layer = self.packed(f"{path}.{name}", as_linear(module))
            if not isinstance(layer, GPTQLinear):
                continue
            layer.is_transposed = isinstance(module, Conv1D)
            weight = module.weight.t() if layer.is_transposed else module.weight
            config: Any = self.quantization_config
            rounded, scale, zero, order = compensated(weight, hessian, config, layer.group_size)
            layer.fill(rounded, scale, zero, order)
            block.set_submodule(name, layer)


def second_moment(block: nn.Module, name: str, calls: Sequence[calibration.Call]) -> Tensor:
    """The mean of ``x^T x`` (in, in) over the rows that the projection `name` reads."""
    sums: list[Tensor] = []
    counts: list[int] = []

    def see(_: str, x: Tensor) -> None:
        x = x.float()
        sums[:] = [x.t() @ x if not sums else sums[0].addmm_(x.t(), x)]
        counts.append(len(x))

    with calibration.watching({name: block.get_submodule(name)}, see):
        calibration.run(block, calls)
    return sums[0] / sum(counts)

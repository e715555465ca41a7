"""What all quantization methods of this package share: which modules are packed, and when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from dovetail.errors import CheckpointError, ConfigError, MismatchError
from dovetail.layers.projections import Conv1D, Linear
from dovetail.quantizers import HfQuantizer, get_keys_to_not_convert, is_skipped
from dovetail_quantizers.layers import Joint, PackedEmbedding, PackedLinear, TiedHead
from dovetail_quantizers.memory import give_back

Packed = PackedLinear | PackedEmbedding


class PackedQuantizer(HfQuantizer):
    """Puts packed layers in the place of projections, fills them, and undoes it.

    A method says in `packed` what it makes of a projection, and in `packed_embedding` of an
    embedding. Projections that read one input are handed to one kernel.
    """

    def packed(self, name: str, linear: nn.Linear) -> PackedLinear | None:
        """The empty layer for the projection `name`, None to leave that alone."""
        raise ConfigError(f"{type(self).__name__} does not say what it makes of projections.")

    def packed_embedding(self, name: str, embedding: nn.Embedding) -> PackedEmbedding | None:
        """The empty layer for an embedding, None to leave it alone."""
        return None

    def skipped(self, model: nn.Module) -> list[str]:
        """Paths, or parts of paths, of modules that stay as they are.

        Those that the config names; if it names none, the output layer and what is tied to it.
        """
        named = getattr(self.quantization_config, "modules_to_not_convert", None)
        return list(get_keys_to_not_convert(model) if named is None else named)

    # The order of loading.

    def _process_model_before_weight_loading(self, model: nn.Module, **kwargs: Any) -> None:
        in_float32 = kwargs.get("keep_in_fp32_modules") or []
        skipped = [*self.skipped(model), *self.modules_to_not_convert, *in_float32]
        ties: dict[str, str] = getattr(model, "tied_weights", dict)()
        self._pack_embeddings(model, skipped, ties)
        tied = {name.rpartition(".")[0] for pair in ties.items() for name in pair}
        for name, module in list(model.named_modules()):
            if not isinstance(module, nn.Linear | Conv1D) or name in tied:
                continue
            layer = None if is_skipped(name, skipped) else self.packed(name, as_linear(module))
            if layer is not None:
                layer.is_transposed = isinstance(module, Conv1D)
                if not self.pre_quantized:
                    layer.awaited = module.weight.detach().to("meta")
                model.set_submodule(name, layer)

    def _pack_embeddings(
        self, model: nn.Module, skipped: list[str], ties: Mapping[str, str]
    ) -> None:
        for name, module in list(model.named_modules()):
            if type(module) is not nn.Embedding or is_skipped(name, skipped):
                continue
            layer = self.packed_embedding(name, module)
            own = f"{name}.weight"
            guests = [guest.rpartition(".")[0] for guest, host in ties.items() if host == own]
            kinds = [type(model.get_submodule(guest)) for guest in guests]
            if layer is None or any(kind is not Linear for kind in kinds):
                continue
            model.set_submodule(name, layer)
            for guest in guests:
                model.set_submodule(guest, TiedHead(layer))

    def update_missing_keys(
        self, model: nn.Module, missing_keys: list[str], prefix: str
    ) -> list[str]:
        """The missing names without those that packing an embedding makes.

        Raises:
            CheckpointError: a quantized checkpoint lacks a part of a packed weight.
        """
        if self.pre_quantized:
            _refuse_missing(model, missing_keys)
            return missing_keys
        made = {
            f"{path}.{name}"
            for path, layer in packed_modules(model)
            if isinstance(layer, PackedEmbedding)
            for name in layer.checkpoint_names()
            if name != "weight"
        }
        return [name for name in missing_keys if name not in made]

    def update_unexpected_keys(self, model: nn.Module, unexpected_keys: list[str]) -> list[str]:
        """The left-over names without the weights of tied output layers."""
        tied = {f"{path}.weight" for path, m in model.named_modules() if isinstance(m, TiedHead)}
        return [name for name in unexpected_keys if name not in tied]

    def check_quantized_param(
        self,
        model: nn.Module,
        param_value: Tensor,
        param_name: str,
        state_dict: Mapping[str, Tensor],
        **kwargs: Any,
    ) -> bool:
        """Whether this is the weight of a packed layer, not packed yet, or a tensor that a packed
        layer has under another name."""
        layer, leaf = owner(model, param_name)
        if layer is None:
            return False
        return layer.claims(leaf) if self.pre_quantized else leaf == "weight"

    def create_quantized_param(
        self,
        model: nn.Module,
        param_value: Tensor,
        param_name: str,
        target_device: torch.device,
        state_dict: Mapping[str, Tensor],
        unexpected_keys: list[str] | None = None,
    ) -> None:
        """Pack one weight."""
        layer, leaf = owner(model, param_name)
        module: Any = layer
        if self.pre_quantized:
            module.place(leaf, param_value.to(target_device))
            return
        weight = param_value.t() if getattr(module, "is_transposed", False) else param_value
        if tuple(weight.shape) != module.weight_shape:
            raise MismatchError(
                f"{param_name} is {tuple(param_value.shape)} in the checkpoint, but "
                f"{type(module).__name__} stands for a weight {module.weight_shape} (out, in). "
                "Load the checkpoint with its own config."
            )
        module.awaited = None
        module.quantize(weight.to(target_device))
        if isinstance(module, PackedLinear) and module.joint is not None:
            module.joint.pack()

    def preprocess_model(self, model: nn.Module, **kwargs: Any) -> nn.Module:
        """Put packed layers in place, those that read one input together."""
        model = super().preprocess_model(model, **kwargs)
        join(model)
        return model

    def _process_model_after_weight_loading(self, model: nn.Module, **kwargs: Any) -> None:
        for _, layer in packed_modules(model):
            if isinstance(layer, PackedLinear) and layer.joint is not None:
                layer.joint.pack()
        give_back()

    def _dequantize(self, model: nn.Module) -> nn.Module:
        for name, module in list(model.named_modules()):
            plain: nn.Module
            if isinstance(module, PackedLinear):
                if module.joint is not None:
                    module.joint.dissolve()  # once for all siblings
                plain = as_plain(module)
            elif isinstance(module, PackedEmbedding):
                plain = nn.Embedding.from_pretrained(
                    module.dequantized(), freeze=False, padding_idx=module.padding_idx
                )
            elif isinstance(module, TiedHead):
                plain = Linear(module.in_features, module.out_features, bias=False, device="meta")
            else:
                continue
            model.set_submodule(name, plain)
        tie_weights = getattr(model, "tie_weights", None)
        if tie_weights is not None:
            tie_weights()
        return model

    def is_serializable(self, safe_serialization: bool | None = None) -> bool:
        """Whether packed models can be saved: they can."""
        return True

    @property
    def is_trainable(self) -> bool:
        """Adapters can be trained: gradients pass through the packed layers."""
        return True


def _refuse_missing(model: nn.Module, missing: list[str]) -> None:
    for path, layer in packed_modules(model):
        wanted = [f"{path}.{name}" for name in layer.checkpoint_names()]
        lacking = [name for name in wanted if name in missing]
        if lacking:
            raise CheckpointError(
                f"The checkpoint lacks {', '.join(lacking)}, which its "
                f"quantization_config promises ({type(layer).__name__}). Fetch it again, or name "
                "the layer among those that are not quantized."
            )


def packed_modules(model: nn.Module) -> Iterator[tuple[str, Packed]]:
    """The packed layers of a model, with their paths."""
    for name, module in model.named_modules():
        if isinstance(module, Packed):
            yield name, module


def owner(model: nn.Module, name: str) -> tuple[Packed | None, str]:
    """The packed layer to which the tensor `name` of a checkpoint belongs, and its name there."""
    parts = name.split(".")
    for count in range(len(parts) - 1, 0, -1):
        try:
            module = model.get_submodule(".".join(parts[:count]))
        except AttributeError:
            continue
        return (module if isinstance(module, Packed) else None), ".".join(parts[count:])
    return None, name


def as_linear(module: nn.Module) -> nn.Linear:
    """A projection, or one with a transposed weight, as a projection without memory."""
    if isinstance(module, nn.Linear):
        return module
    assert isinstance(module, Conv1D)
    linear = nn.Linear(module.nx, module.nf, device="meta")
    linear.bias = module.bias
    return linear


def as_plain(layer: PackedLinear) -> nn.Module:
    """The ordinary projection with the weight of a packed one."""
    weight, has_bias = layer.plain_weight().to(layer.dtype), layer.bias is not None
    plain: nn.Module
    if layer.is_transposed:
        plain = Conv1D(layer.out_features, layer.in_features)
        weight = weight.t().contiguous()
    else:
        plain = Linear(layer.in_features, layer.out_features, has_bias, device="meta")
    plain.weight = nn.Parameter(weight)
    if has_bias:
        plain.bias = layer.bias
    return plain


def join(model: nn.Module) -> None:
    """Give every packed projection its joint: with its siblings where one kernel may hold all."""
    for module in model.modules():
        names = getattr(type(module), "side_by_side", ())
        siblings = [getattr(module, name, None) for name in names]
        fitting = [
            one
            for one in siblings
            if isinstance(one, PackedLinear) and one.fits_kernel() and one.is_mere_product()
        ]
        if siblings and len(fitting) == len(siblings) and len({type(one) for one in fitting}) == 1:
            Joint(fitting)
    for _, layer in packed_modules(model):
        if isinstance(layer, PackedLinear) and layer.joint is None and layer.fits_kernel():
            Joint([layer])

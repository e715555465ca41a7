"""Projections and embeddings whose weights stay packed.

A format subclasses `PackedLinear`: it registers buffers under the names that checkpoints use, reads
them in `dequantized` and, if it can quantize, writes them in `quantize`. A format that a fast
kernel can hold without loss names the kernel's `kind` and says in `held` and `take_back` how its
buffers and the kernel's tensors become each other. Everything else is done here and in
`dovetail_quantizers.method`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dovetail.errors import ConfigError
from dovetail.layers.projections import linear
from dovetail_quantizers.kernels import Kind, Product, chosen


class PackedLinear(nn.Module):
    """A projection from (..., in) to (..., out), without its weight in full precision.

    `bias` is a parameter (out) or None. While a kernel holds the weight, the buffers are empty and
    ``state_dict`` asks the kernel for them.
    """

    kind: Kind | None = None
    """What a fast kernel takes, if the format fits one."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.bias, self.dtype = layer.bias, layer.weight.dtype
        self.is_transposed = False
        """Whether the architecture stores this weight as (in, out)."""
        self.order: Tensor | None = None
        """In which order a kernel holds the columns (in), None for their own."""
        self.joint: Joint | None = None
        self.awaited: Tensor | None = None
        """While a model is loaded and packed: the weight, without values, that is still to come."""

    @property
    def weight_shape(self) -> tuple[int, int]:
        """Of the weight: (out, in)."""
        return self.out_features, self.in_features

    # What a format says.

    def dequantized(self) -> Tensor:
        """The weight (out, in) in float32, or in the type in which the format is defined."""
        raise ConfigError(f"{type(self).__name__} does not say how to read its weight.")

    def quantize(self, weight: Tensor) -> None:
        """Fill the buffers from a weight (out, in)."""
        raise ConfigError(
            f"{type(self).__name__} reads weights that are quantized already and cannot quantize. "
            "Load a checkpoint in its format."
        )

    def held(self) -> tuple[Tensor, ...]:
        """What a kernel of `kind` packs; the first dimension of each tensor is out."""
        return ()

    def take_back(self, *held: Tensor) -> None:
        """Fill the buffers from what `held` once gave."""

    def fits_kernel(self) -> bool:
        """Whether a kernel of `kind` takes a matrix of this shape and these settings."""
        return self.kind is not None

    def is_mere_product(self) -> bool:
        """Whether `forward` only multiplies, so that siblings may be multiplied as one."""
        return type(self).forward is PackedLinear.forward

    # What all share.

    def forward(self, x: Tensor) -> Tensor:
        """The product; a kernel's where it holds the weight and no gradient is wanted."""
        if self.joint is not None and self.joint.serves(x):
            return self.joint.parts(x)[self.joint.layers.index(self)]
        return linear(x, self.plain_weight().to(x.dtype), self.bias)

    def plain_weight(self) -> Tensor:
        """`dequantized`, wherever the weight is held."""
        return self.dequantized() if self.joint is None else self.joint.dequantized(self)

    def extra_repr(self) -> str:
        held = "" if self.joint is None or self.joint.product is None else f", kernel={self.kind}"
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}{held}"
        )

    def checkpoint_name(self, buffer: str) -> str:
        """What checkpoints call a buffer, within the layer."""
        return buffer

    def claims(self, name: str) -> bool:
        """Whether `place` takes a checkpoint's tensor, by its name within the layer; others are
        put into the buffer of that name."""
        return "." in name

    def place(self, name: str, tensor: Tensor) -> None:
        """Put a tensor of a checkpoint into its buffer, by the checkpoint's name for it."""
        buffer = next(b for b in self.format_buffers() if self.checkpoint_name(b) == name)
        self._buffers[buffer] = tensor

    def format_buffers(self) -> Iterator[str]:
        """Names of the buffers in which the weight lies."""
        yield from self._buffers

    def release(self) -> None:
        """Let go of the buffers: a kernel holds the weight now."""
        for name in self.format_buffers():
            self._buffers[name] = None

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        if self.joint is not None:
            self.joint.dissolve()
        return super()._apply(fn, recurse)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        if self.awaited is not None:
            destination[f"{prefix}weight"] = self.awaited
            if self.bias is not None:
                destination[f"{prefix}bias"] = self.bias if keep_vars else self.bias.detach()
            return
        with nullcontext() if self.joint is None else self.joint.opened(self):
            super()._save_to_state_dict(destination, prefix, keep_vars)
        for buffer, name in self._renamed():
            destination[prefix + name] = destination.pop(prefix + buffer)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        if self.joint is not None:
            self.joint.dissolve()
        own = {
            buffer: state_dict[prefix + name]
            for buffer, name in self._renamed()
            if prefix + name in state_dict
        }
        super()._load_from_state_dict(
            state_dict | {prefix + buffer: tensor for buffer, tensor in own.items()}, prefix, *args
        )

    def checkpoint_names(self) -> list[str]:
        """What checkpoints call the buffers, within the layer."""
        return [self.checkpoint_name(buffer) for buffer in self.format_buffers()]

    def _renamed(self) -> list[tuple[str, str]]:
        names = [(buffer, self.checkpoint_name(buffer)) for buffer in self.format_buffers()]
        return [(buffer, name) for buffer, name in names if buffer != name]


class Joint:
    """Layers that read the same input, held by one kernel: one product is quicker than several.

    A single layer is a joint of one. The kernel packs when it is first needed.
    """

    def __init__(self, layers: Sequence[PackedLinear]) -> None:
        self.layers = list(layers)
        self.product: Product | None = None
        self.order: Tensor | None = None
        self.is_refused = False
        self.widths = [layer.out_features for layer in layers]
        for layer in layers:
            layer.joint = self

    def serves(self, x: Tensor) -> bool:
        """Whether the kernel multiplies `x`: on the CPU, outside gradients and compilation."""
        if not x.is_cpu or torch.compiler.is_compiling():
            return False
        if x.requires_grad and torch.is_grad_enabled():
            return False
        return self.product is not None or (not self.is_refused and self.pack())

    def parts(self, x: Tensor) -> tuple[Tensor, ...]:
        """What each layer makes of x (..., in)."""
        assert self.product is not None
        columns = x if self.order is None else x[..., self.order]
        whole = self.product(columns if x.dtype is torch.float32 else columns.float())
        if whole.dtype is not x.dtype:
            whole = whole.to(x.dtype)
        if len(self.layers) == 1:
            bias = self.layers[0].bias
            return (whole if bias is None else whole + bias,)
        parts = whole.split_with_sizes(self.widths, -1)
        return tuple(
            part if layer.bias is None else part + layer.bias
            for part, layer in zip(parts, self.layers, strict=True)
        )

    def pack(self) -> bool:
        """Hand the weights to the kernel, if all are there; False where there is none for them."""
        if self.product is not None:
            return True
        held = [layer.held() for layer in self.layers]
        kind, order = self.layers[0].kind, self.layers[0].order
        alike = all(one.kind == kind and _same(one.order, order) for one in self.layers)
        kernel = chosen(kind).kernel if kind is not None and alike else None
        if not all(tensor.is_cpu for tensors in held for tensor in tensors):
            return False
        if kernel is not None:
            self.product = kernel.pack(*(torch.cat(part) for part in zip(*held, strict=True)))
            self.order = order
        self.is_refused = self.product is None
        if self.is_refused:
            return False
        for layer in self.layers:
            layer.release()
        return True

    def dissolve(self) -> None:
        """Give the layers their buffers back; the kernel packs anew when it is needed."""
        if self.product is not None:
            parts = [part.split(self.widths) for part in self.product.unpacked()]
            for layer, *held in zip(self.layers, *parts, strict=True):
                layer.take_back(*held)
            self.product = None
        self.is_refused = False

    def opened(self, layer: PackedLinear) -> _Opened:
        """Within: `layer` has its buffers, while the kernel keeps the weight."""
        return _Opened(self, layer)

    def dequantized(self, layer: PackedLinear) -> Tensor:
        """The weight of one of the layers in full precision."""
        if self.product is None:
            return layer.dequantized()
        with self.opened(layer):
            return layer.dequantized()


class _Opened:
    def __init__(self, joint: Joint, layer: PackedLinear) -> None:
        self.joint, self.layer = joint, layer

    def __enter__(self) -> None:
        if self.joint.product is None:
            return
        rank = self.joint.layers.index(self.layer)
        parts = [part.split(self.joint.widths)[rank] for part in self.joint.product.unpacked()]
        self.layer.take_back(*parts)

    def __exit__(self, *error: object) -> None:
        if self.joint.product is not None:
            self.layer.release()


def _same(first: Tensor | None, second: Tensor | None) -> bool:
    if first is None or second is None:
        return first is second
    return torch.equal(first, second)


class PackedEmbedding(nn.Module):
    """An embedding (V, D) without its weight in full precision; a format registers the buffers."""

    kind: ClassVar[Kind | None] = None
    """What a kernel takes for the output layer that is tied to this embedding."""

    def __init__(self, embedding: nn.Embedding) -> None:
        super().__init__()
        self.num_embeddings, self.embedding_dim = embedding.weight.shape
        self.padding_idx, self.dtype = embedding.padding_idx, embedding.weight.dtype

    @property
    def weight_shape(self) -> tuple[int, int]:
        """Of the weight: (V, D)."""
        return self.num_embeddings, self.embedding_dim

    def dequantized(self) -> Tensor:
        """The weight in float32."""
        raise ConfigError(f"{type(self).__name__} does not say how to read its weight.")

    def quantize(self, weight: Tensor) -> None:
        """Fill the buffers from a weight (V, D)."""
        raise ConfigError(f"{type(self).__name__} does not say how to write its weight.")

    def held(self) -> tuple[Tensor, ...]:
        """What a kernel of `kind` packs."""
        return ()

    def checkpoint_names(self) -> list[str]:
        """What checkpoints call the buffers, within the layer."""
        return [*self._buffers]

    def claims(self, name: str) -> bool:
        """Whether a tensor of a checkpoint needs care: none does."""
        return False

    def extra_repr(self) -> str:
        return f"{self.num_embeddings}, {self.embedding_dim}"


class TiedHead(nn.Module):
    """An output layer whose weight is that of an embedding: it has no tensors of its own.

    A kernel holds a copy, since products and look-ups want the weight in different orders.
    """

    def __init__(self, embedding: PackedEmbedding) -> None:
        super().__init__()
        self.in_features, self.out_features = embedding.embedding_dim, embedding.num_embeddings
        self._source = (embedding,)  # in a tuple, so that it does not become a submodule
        self._product: Product | None = None
        self._is_asked = False

    @property
    def weight(self) -> Tensor:
        """The embedding's, packed."""
        return self._source[0].get_buffer("weight")

    @weight.setter
    def weight(self, value: Tensor) -> None:
        """Tying, which models do by assignment, is done already."""

    def forward(self, x: Tensor) -> Tensor:
        """Logits (..., V) of x (..., D)."""
        graph = x.requires_grad and torch.is_grad_enabled()
        if x.is_cpu and not graph and not torch.compiler.is_compiling():
            if not self._is_asked:
                self._pack()
            if self._product is not None:
                return self._product(x.float()).to(x.dtype)
        return linear(x, self._source[0].dequantized().to(x.dtype))

    def _pack(self) -> None:
        source = self._source[0]
        kernel = None if source.kind is None else chosen(source.kind).kernel
        self._product = None if kernel is None else kernel.pack(*source.held())
        self._is_asked = True

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        self._product, self._is_asked = None, False
        return super()._apply(fn, recurse)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, tied"

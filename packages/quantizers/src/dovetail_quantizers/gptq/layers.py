"""The layer of GPTQ, with the tensors that its checkpoints hold."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dovetail.errors import CheckpointError
from dovetail_quantizers import bits
from dovetail_quantizers.gptq.configuration import GPTQConfig
from dovetail_quantizers.grouped import GroupedLinear, nearest_codes, rounded_groups
from dovetail_quantizers.kernels import tinygemm


class GPTQLinear(GroupedLinear):
    """`qweight` (in * bits / 32, out) packs down the columns, `qzeros` (groups, out * bits / 32)
    along the rows; `scales` (groups, out) in float16; `g_idx` (in) is each column's group.
    """

    def __init__(self, layer: nn.Linear, name: str, config: GPTQConfig) -> None:
        super().__init__(layer, name, config.bits, config.group_size)
        self.symmetric = config.sym
        self.shift = int(config.checkpoint_format == "gptq")
        rows, columns, width = self.out_features, self.in_features, config.bits
        groups = columns // self.group_size
        self.empty("qweight", (columns * width // bits.WORD, rows), torch.int32)
        self.empty("qzeros", (groups, -(-rows * width // bits.WORD)), torch.int32)
        self.empty("scales", (groups, rows), torch.float16)
        self.empty("g_idx", (columns,), torch.int32)

    def codes(self) -> Tensor:
        """The integers (out, in)."""
        return bits.unpack(self.qweight.t(), self.bits)[:, : self.in_features]

    def put_codes(self, codes: Tensor) -> None:
        """Pack the integers (out, in)."""
        self.qweight = bits.pack(codes, self.bits).t().contiguous()

    def scales_and_zeros(self) -> tuple[Tensor, Tensor]:
        """Two tensors (out, groups)."""
        zeros = bits.unpack(self.qzeros, self.bits)[:, : self.out_features].t()
        # Zeros are stored less one, so that the largest wraps around.
        zeros = (zeros + self.shift) & (2**self.bits - 1) if self.shift else zeros
        return self.scales.t().float(), zeros.float()

    def group_of(self) -> Tensor:
        """The group of each column (in).

        Raises:
            CheckpointError: it names a group that is not there.
        """
        groups = self.g_idx.long()
        last = self.scales.shape[0] - 1
        if groups.numel() and not 0 <= groups.min() <= groups.max() <= last:
            raise CheckpointError(
                f"g_idx of a GPTQ layer {self.weight_shape} names groups {groups.min()} to "
                f"{groups.max()}, but it has groups 0 to {last}. Fetch the checkpoint again."
            )
        return groups

    def held(self) -> tuple[Tensor, ...]:
        """Codes, scales and offsets, the columns of a group side by side."""
        codes, scales, offsets = super().held()
        if self.g_idx.is_meta:
            return codes, scales, offsets
        groups = self.group_of()
        order = groups.argsort(stable=True)
        in_order = torch.equal(groups[order], torch.arange(len(groups)) // self.group_size)
        if not in_order or not tinygemm.accepts(*self.weight_shape, self.group_size):
            self.kind = None
        is_sorted = torch.equal(order, torch.arange(len(order)))
        self.order = None if is_sorted else order
        return codes if is_sorted else codes[:, order], scales, offsets

    def take_back(self, *held: Tensor) -> None:
        """Pack the integers, each in its own column again."""
        codes = held[0]
        self.put_codes(codes if self.order is None else codes[:, self.order.argsort()])

    def quantize(self, weight: Tensor) -> None:
        """Round to the nearest code, without calibration."""
        scale, zero = rounded_groups(weight, self.bits, self.group_size, self.symmetric)
        self.fill(weight, scale, zero)

    def fill(
        self, weight: Tensor, scale: Tensor, zero: Tensor, order: Tensor | None = None
    ) -> None:
        """Write codes nearest to `weight`, with `scale` and `zero` (out, groups).

        `order` are the columns in the order in which they form groups.
        """
        scale = scale.half()
        places = torch.arange(self.in_features, device=weight.device)
        order = places if order is None else order
        codes = nearest_codes(weight[:, order], scale.float(), zero, self.bits, self.group_size)
        self.order = None if torch.equal(order, places) else order
        self.take_back(codes)
        groups = torch.empty_like(places)
        groups[order] = places // self.group_size
        stored = (zero.to(torch.int64) - self.shift) & (2**self.bits - 1)
        self.qzeros = bits.pack(stored.t(), self.bits)
        self.scales, self.g_idx = scale.t().contiguous(), groups.int()

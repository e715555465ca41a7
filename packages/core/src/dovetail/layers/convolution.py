"""Convolutions over a text, which see no token that is still to come."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class CausalConv1d(nn.Conv1d):
    """Each channel convolved over time on its own: a position sees itself and those just before."""

    def __init__(self, channels: int, kernel_size: int, bias: bool = True) -> None:
        super().__init__(channels, channels, kernel_size, groups=channels, bias=bias)

    def forward(  # type: ignore[override] # a window more
        self,
        x: Tensor,
        window: Tensor | None = None,
        positions: Tensor | None = None,
        text: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The convolution of `x` (B, T, C) behind what `window` (B, C, kernel) holds, zeros when
        None; and the window of its last inputs, to go on with.

        `positions` (B or 1, T), given where texts are packed, count from the start of each text: a
        text does not see the one before. What is not `text` (B, T) is passed over.
        """
        if text is None:
            return self._convolve(x, window, positions)
        order = text.logical_not().int().argsort(dim=1, stable=True)[..., None]  # padding goes last
        if positions is not None:
            positions = positions.expand(text.shape).gather(1, order[..., 0])
        output, _ = self._convolve(x.take_along_dim(order, 1), window, positions)
        past = x.mT.new_zeros(len(x), x.shape[2], self.kernel_size[0]) if window is None else window
        line = torch.cat((past.to(x.dtype), x.take_along_dim(order, 1).mT), -1)
        last = text.sum(1)[:, None, None] + torch.arange(past.shape[-1], device=x.device)
        return output.take_along_dim(order.argsort(dim=1), 1), line.take_along_dim(last, -1)

    def _convolve(
        self, x: Tensor, window: Tensor | None, positions: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        kernel, length = self.kernel_size[0], x.shape[1]
        if window is None:
            before = x.new_zeros(len(x), kernel - 1, x.shape[2])
        else:
            before = window[..., 1:].mT.to(x.dtype)
        inputs = torch.cat((before, x), 1)  # (B, kernel - 1 + T, C)
        taps = self.weight[:, 0].unbind(-1)  # a sum of shifted products: faster than conv1d
        output = x * taps[-1]
        for back, tap in enumerate(reversed(taps[:-1]), 1):
            earlier = inputs[:, kernel - 1 - back : kernel - 1 - back + length]
            if positions is not None:
                earlier = earlier * (positions >= back)[..., None]
            output = torch.addcmul(output, earlier, tap)
        output = output if self.bias is None else output + self.bias
        return output, inputs[:, -kernel:].mT.contiguous()

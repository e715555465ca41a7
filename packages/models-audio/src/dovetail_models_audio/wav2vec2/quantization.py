"""The quantizer of Wav2Vec 2.0: frames as choices of codevectors (arXiv 2006.11477, section 2)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dovetail.layers.projections import Linear


class GumbelVectorQuantizer(nn.Module):
    """Each frame chooses one of V codevectors in each of G groups; in training by a Gumbel softmax
    of some `temperature`, with gradients straight through."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.groups, self.entries = config.num_codevector_groups, config.num_codevectors_per_group
        total = self.groups * self.entries
        width = config.codevector_dim // self.groups
        self.codevectors = nn.Parameter(torch.zeros(1, total, width))
        self.weight_proj = Linear(config.conv_dim[-1], total)
        self.temperature = 2.0

    def forward(self, frames: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Codevectors (B, T, D) of frames (B, T, C), and how many of the entries the frames (those
        that `mask` (B, T) has) use, by their perplexity."""
        scores = self.weight_proj(frames).unflatten(-1, (self.groups, self.entries))
        if self.training:
            chosen = F.gumbel_softmax(scores.float(), tau=self.temperature, hard=True)
            chosen = chosen.to(scores.dtype)
            likely = scores.float().softmax(-1)
        else:
            chosen = F.one_hot(scores.argmax(-1), self.entries).to(scores.dtype)
            likely = chosen
        codebook = self.codevectors.view(self.groups, self.entries, -1)
        vectors = torch.einsum("btgv,gvd->btgd", chosen, codebook)
        return vectors.flatten(2), perplexity(likely, mask)


def perplexity(probabilities: Tensor, mask: Tensor | None) -> Tensor:
    """The exponential of the entropy of the mean of `probabilities` (B, T, G, V) over frames,
    summed over the groups."""
    rows = probabilities.flatten(0, 1) if mask is None else probabilities[mask]
    mean = rows.mean(dim=0)
    return torch.exp(-(mean * torch.log(mean + 1e-7)).sum(-1)).sum()

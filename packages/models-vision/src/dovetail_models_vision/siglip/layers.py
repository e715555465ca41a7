"""How SigLIP's weights begin."""

from __future__ import annotations

from torch import nn

from dovetail_models_vision.clip.layers import TwoTowers


class SiglipTowers(TwoTowers):
    """Base of SigLIP and its halves: fresh projections as Glorot and Bengio (2010) have them, fresh
    embeddings by their width."""

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
        elif isinstance(module, nn.Embedding):
            module.weight.data.normal_(std=module.embedding_dim**-0.5)
        elif isinstance(module, nn.Conv2d):
            inputs = module.weight[0].numel()
            module.weight.data.normal_(std=inputs**-0.5)

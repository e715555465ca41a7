"""Features of pictures in the place of tokens.

B batch, T tokens, N features, D width.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Visual:
    """What a model made of all pictures of one `kind` (``"image"`` or ``"video"``).

    `features` (N, D) or (pictures, n, D) are in the order of the text, those of padding left out;
    they take the places of `token`.
    """

    kind: str
    token: int
    features: Tensor

    @property
    def count(self) -> int:
        """How many tokens they take."""
        return self.features.shape[:-1].numel()


def place(embeddings: Tensor, places: Tensor, visual: Visual) -> Tensor:
    """`embeddings` (B, T, D) with the features of `visual` where `places` (B, T) is True, row by
    row.

    Raises:
        ValueError: there are more or fewer places than features.
    """
    found = int(places.sum())
    if found != visual.count:
        kind = visual.kind
        raise ValueError(
            f"input_ids hold {found} {kind} tokens (id {visual.token}) and the {kind}s given make "
            f"{visual.count} features: these must be equal. Let the processor write the text, with "
            f"one placeholder for each {kind}, or give the {kind}s that belong to this text."
        )
    features = visual.features.reshape(-1, visual.features.shape[-1])
    return embeddings.masked_scatter(places[..., None], features.to(embeddings))

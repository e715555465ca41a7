"""Positions of Qwen2-VL's tokens along time, height and width.

B batch, T tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

Grid = tuple[int, int, int]
"""Tokens of a picture along time, height and width."""


def rope_index(
    input_ids: Tensor,
    grids: Mapping[int, Tensor | None],
    attention_mask: Tensor | None,
    merge: int,
) -> tuple[Tensor, Tensor]:
    """Positions (3, B, T) of texts (B, T), and (B, 1) how far the position behind each text is from
    its length.

    `grids` gives the patches (pictures, 3) of all pictures whose token is the key; squares of
    `merge` patches are one token. Padding is at 1.

    Raises:
        ValueError: there are more or fewer tokens than the grids say.
    """
    pictures = {token: merged(grid, merge) for token, grid in grids.items() if grid is not None}
    check_counts(input_ids, pictures)
    waiting = {token: iter(found) for token, found in pictures.items()}
    positions = torch.ones(3, *input_ids.shape, dtype=torch.long)
    visible = torch.ones_like(input_ids) if attention_mask is None else attention_mask
    deltas = []
    for row, (ids, seen) in enumerate(zip(input_ids.cpu(), visible.bool().cpu(), strict=True)):
        found = text_positions(ids[seen], waiting)
        positions[:, row, seen] = found
        deltas.append(int(found.max()) + 1 - len(ids) if found.numel() else 0)
    return positions.to(input_ids.device), torch.tensor(deltas, device=input_ids.device)[:, None]


def merged(grids: Tensor, merge: int) -> list[Grid]:
    """Tokens along each axis of pictures of `grids` (pictures, 3) patches."""
    return [(time, height // merge, width // merge) for time, height, width in grids.tolist()]


def check_counts(input_ids: Tensor, pictures: Mapping[int, list[Grid]]) -> None:
    """Refuse texts which have not as many tokens as the `pictures` of each kind take."""
    for token, grids in pictures.items():
        places = int((input_ids == token).sum())
        wanted = sum(time * height * width for time, height, width in grids)
        if places != wanted:
            raise ValueError(
                f"input_ids hold {places} tokens of pictures (id {token}), and the {len(grids)} "
                f"grids given make {wanted}: give the grids of all pictures of these texts, those "
                "in a cache included."
            )


def text_positions(ids: Tensor, pictures: Mapping[int, Iterator[Grid]]) -> Tensor:
    """Positions (3, T) of one text (T,) without padding; takes its pictures from the iterators."""
    parts: list[Tensor] = []
    at = begin = 0  # in the text, and the position there
    starts = sorted((place, token) for token in pictures for place in places_of(ids, token))
    for place, token in starts:
        if place < at:
            continue  # within the picture before
        parts.append(torch.arange(begin, begin + place - at).expand(3, -1))
        begin += place - at
        grid = next(pictures[token])
        axes = torch.meshgrid(*map(torch.arange, grid), indexing="ij")
        parts.append(torch.stack([axis.flatten() for axis in axes]) + begin)
        at = place + axes[0].numel()
        begin += max(grid)
    parts.append(torch.arange(begin, begin + len(ids) - at).expand(3, -1))
    return torch.cat(parts, 1)


def places_of(ids: Tensor, token: int) -> list[int]:
    """The places of `token` in a text (T,)."""
    return (ids == token).nonzero().flatten().tolist()

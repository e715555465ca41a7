"""A watermark in generated text (arXiv:2306.04634): written by a processor, found by a detector."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from dovetail.errors import GenerationError
from dovetail.generation.processors.base import LogitsProcessor
from dovetail.generation.watermarking import WatermarkingConfig
from dovetail.logging import get_logger
from dovetail.outputs import ModelOutput

logger = get_logger(__name__)

TABLE_SIZE = 1_000_003  # entries of the hash table of "selfhash"
TRIED = 40  # "selfhash" asks of so many of the best tokens whether they are green
SEEDS = 2**64 - 1


class WatermarkLogitsProcessor(LogitsProcessor):
    """Adds `bias` to the scores of green tokens: those that a generator seeded by the context puts
    first. See `WatermarkingConfig`.
    """

    def __init__(
        self,
        vocab_size: int,
        device: torch.device | str,
        greenlist_ratio: float = 0.25,
        bias: float = 2.0,
        hashing_key: int = 15485863,
        seeding_scheme: str = "lefthash",
        context_width: int = 1,
    ) -> None:
        self.settings = WatermarkingConfig(
            greenlist_ratio, bias, hashing_key, seeding_scheme, context_width
        )
        self.vocab_size, self.device = vocab_size, torch.device(device)
        self._chance = torch.Generator(device)
        self._hashes = self._shuffled(TABLE_SIZE, hashing_key) + 1

    def _shuffled(self, size: int, seed: int) -> Tensor:
        """The numbers below `size` in the order that `seed` decides."""
        self._chance.manual_seed(seed % SEEDS)
        return torch.randperm(size, generator=self._chance, device=self.device)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return changed scores (B, V)."""
        settings = self.settings
        if input_ids.shape[-1] < settings.context_width:
            logger.warning_once(
                f"The text of {input_ids.shape[-1]} tokens is shorter than context_width="
                f"{settings.context_width}: it is not marked yet."
            )
            return scores
        marked = scores.clone()
        for row, text in enumerate(input_ids):
            if settings.seeding_scheme == "selfhash":
                best = scores[row].topk(min(TRIED, scores.shape[-1])).indices
                green = [token for token in best if self.is_green(torch.cat((text, token[None])))]
                marked[row, [int(token) for token in green]] += settings.bias
            else:
                marked[row, self.greenlist(text)] += settings.bias
        return marked

    def greenlist(self, context: Tensor) -> Tensor:
        """The green tokens (G,) after `context` (T,), or at its end with ``"selfhash"``."""
        settings = self.settings
        seed = settings.hashing_key * int(context[-1])
        if settings.seeding_scheme == "selfhash":
            hashes = self._hashes[context[-settings.context_width :] % TABLE_SIZE]
            seed = int((settings.hashing_key * hashes * hashes[-1]).min())
        share = int(self.vocab_size * settings.greenlist_ratio)
        return self._shuffled(self.vocab_size, seed)[:share]

    def is_green(self, text: Tensor) -> bool:
        """Whether the last token of `text` (T,) is on the green list of its place."""
        context = text if self.settings.seeding_scheme == "selfhash" else text[:-1]
        return bool((self.greenlist(context) == text[-1]).any())


@dataclass
class WatermarkDetectorOutput(ModelOutput):
    """What was found in each text, all (B,): tokens looked at, green ones among them and their
    share, how many standard deviations that is above chance, the probability of as much by chance,
    whether the text counts as marked, and ``1 - p_value``.
    """

    num_tokens_scored: Tensor | None = None
    num_green_tokens: Tensor | None = None
    green_fraction: Tensor | None = None
    z_score: Tensor | None = None
    p_value: Tensor | None = None
    prediction: Tensor | None = None
    confidence: Tensor | None = None


class WatermarkDetector:
    """Says whether text carries the watermark of `watermarking_config`.

    `ignore_repeated_ngrams` counts a token once for each different context.
    """

    def __init__(
        self,
        model_config: Any,
        device: str,
        watermarking_config: WatermarkingConfig | dict[str, Any],
        ignore_repeated_ngrams: bool = False,
        max_cache_size: int = 128,
    ) -> None:
        if isinstance(watermarking_config, dict):
            watermarking_config = WatermarkingConfig.from_dict(watermarking_config)
        seq2seq = model_config.is_encoder_decoder
        self.bos_token_id = (
            model_config.decoder_start_token_id if seq2seq else model_config.bos_token_id
        )
        self.greenlist_ratio = watermarking_config.greenlist_ratio
        self.ignore_repeated_ngrams = ignore_repeated_ngrams
        self.processor = watermarking_config.construct_processor(model_config.vocab_size, device)
        self._is_green = lru_cache(maxsize=max_cache_size)(self._green)

    def _green(self, ngram: tuple[int, ...]) -> bool:
        return self.processor.is_green(torch.tensor(ngram, device=self.processor.device))

    def __call__(
        self, input_ids: Tensor, z_threshold: float = 3.0, return_dict: bool = False
    ) -> WatermarkDetectorOutput | Tensor:
        """Whether each text of `input_ids` (B, T) is marked (B,), or all that was found.

        Raises `GenerationError` for texts that are too short to tell.
        """
        if input_ids.shape[1] and int(input_ids[0, 0]) == self.bos_token_id:
            input_ids = input_ids[:, 1:]
        settings = self.processor.settings
        width = settings.context_width
        if input_ids.shape[1] <= width:
            raise GenerationError(
                f"input_ids has {input_ids.shape[1]} tokens, the begin token left out: "
                f"the detector needs at least {width + 1}"
            )
        size = width if settings.seeding_scheme == "selfhash" else width + 1
        ngrams = input_ids.unfold(1, size, 1).tolist()  # (B, N, size)
        counts = torch.tensor([self._count(row) for row in ngrams], dtype=torch.double)  # (B, 2)
        scored, green = counts[:, 0], counts[:, 1]
        share = self.greenlist_ratio
        z_score = (green - share * scored) / (scored * share * (1 - share)).sqrt()
        prediction = z_score > z_threshold
        if not return_dict:
            return prediction
        p_value = torch.special.ndtr(-z_score)
        return WatermarkDetectorOutput(
            scored, green, green / scored, z_score, p_value, prediction, 1 - p_value
        )

    def _count(self, ngrams: list[list[int]]) -> tuple[int, int]:
        """How many tokens of one text count, and how many of them are green."""
        found = Counter(tuple(ngram) for ngram in ngrams)
        if self.ignore_repeated_ngrams:
            found = Counter(found.keys())
        return found.total(), sum(times for ngram, times in found.items() if self._is_green(ngram))

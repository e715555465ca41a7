"""Token healing: a prompt that was cut within a word goes on as if it had not been."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from dovetail.errors import GenerationError
from dovetail.generation.configuration import GenerationConfig
from dovetail.generation.inputs import Arguments, Prompt
from dovetail.generation.processors.base import LogitsProcessor

FAVOUR = 1.0
"""What the prompt's own last token gains, lest every ``http`` become ``https``."""
ONE_TOKEN: dict[str, Any] = {
    "token_healing": False, "max_new_tokens": 1, "max_length": None, "min_length": 0,
    "min_new_tokens": None, "num_beams": 1, "num_beam_groups": 1, "num_return_sequences": 1,
    "diversity_penalty": 0.0, "constraints": None, "force_words_ids": None, "penalty_alpha": None,
    "dola_layers": None, "prompt_lookup_num_tokens": None, "assistant_early_exit": None,
    "json_schema": None, "regex": None, "grammar": None, "stop_strings": None,
    "watermarking_config": None, "early_stopping": False, "length_penalty": 1.0,
    "return_dict_in_generate": False, "output_scores": False, "output_logits": None,
    "output_attentions": False, "output_hidden_states": False, "guidance_scale": None,
    "cache_implementation": None, "cache_config": None, "return_legacy_cache": None,
}  # fmt: skip
"""Settings with which one token is chosen as by greedy search or sampling."""


class _Extending(LogitsProcessor):
    """Allows each row tokens of its own, and favours the row's last one."""

    def __init__(self, allowed: list[list[int]], tails: list[int]) -> None:
        self.allowed = allowed
        self.tails = tails

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        changed = torch.full_like(scores, -torch.inf)
        for row, (tokens, tail) in enumerate(zip(self.allowed, self.tails, strict=True)):
            changed[row, tokens] = scores[row, tokens]
            changed[row, tail] += FAVOUR
        return changed


def heal_prompt(
    model: Any, prompt: Prompt, config: GenerationConfig, model_kwargs: Arguments, tokenizer: Any
) -> tuple[Prompt, Arguments]:
    """The prompt with healed tokens, and the arguments with its mask.

    Raises `GenerationError` for what cannot be healed: prompts of an encoder, embeddings, prompts
    that a cache holds already.
    """
    given = [
        name
        for name in ("past_key_values", "position_ids", "token_type_ids", "inputs_embeds")
        if model_kwargs.get(name) is not None
    ]
    if model.config.is_encoder_decoder or given:
        raise GenerationError(
            f"token_healing changes the tokens of a decoder's prompt, and "
            f"{given[0] if given else 'an encoder'} reads them as they are: leave it out"
        )
    ids, mask = healed(model, prompt.input_ids, tokenizer, config)
    hides = not bool(mask.all())
    return replace(prompt, source=ids, input_ids=ids), {
        **model_kwargs,
        "attention_mask": mask if hides else None,
    }


def healed(
    model: Any, input_ids: Tensor, tokenizer: Any, config: GenerationConfig
) -> tuple[Tensor, Tensor]:
    """Token ids (B, T') and mask (B, T') of prompts `input_ids` (B, T) in whose place the last
    token may be one that extends its text, as `model` prefers. White space at the end is dropped.

    Raises `GenerationError` without a tokenizer, or for a prompt without text.
    """
    if tokenizer is None:
        raise GenerationError(
            "token_healing needs the model's tokenizer: pass generate(..., tokenizer=tokenizer)"
        )
    texts = [text.strip() for text in tokenizer.batch_decode(input_ids, skip_special_tokens=True)]
    if not all(texts):
        raise GenerationError(
            f"token_healing: prompt {texts.index('')} has no text to heal: leave it out"
        )
    encoded = tokenizer(texts, padding=len(texts) > 1, padding_side="left", return_tensors="pt").to(
        input_ids.device
    )
    ids, mask = encoded["input_ids"], encoded["attention_mask"]
    tails = ids[:, -1].tolist()
    allowed = _extensions(tokenizer, tails)
    bos = tokenizer.bos_token_id
    for row in (mask.sum(-1) == 1).nonzero().flatten().tolist():
        if bos is None:  # nothing comes before the only token
            allowed[row] = [tails[row]]
    if all(len(tokens) == 1 for tokens in allowed):
        return ids, mask
    before, seen = _before(ids, mask, bos)
    settings = copy.copy(config)
    settings.update(**ONE_TOKEN)
    chosen = model.generate(
        before,
        attention_mask=seen,
        generation_config=settings,
        logits_processor=[_Extending(allowed, tails)],
    )
    return torch.cat((ids[:, :-1], chosen[:, -1:]), dim=-1), mask


def _extensions(tokenizer: Any, tails: list[int]) -> list[list[int]]:
    """For each token those whose text begins with its own, itself among them."""
    special = set(tokenizer.all_special_ids)
    vocabulary = {
        token: index for token, index in tokenizer.get_vocab().items() if index not in special
    }
    found = []
    for tail in tails:
        text = tokenizer.convert_ids_to_tokens(tail)
        longer = {index for token, index in vocabulary.items() if token.startswith(text)}
        found.append(sorted(longer | {tail}))
    return found


def _before(ids: Tensor, mask: Tensor, bos: int | None) -> tuple[Tensor, Tensor]:
    """The prompts (B, T - 1) without their last token, and the mask; where nothing is left, the
    begin token (or, without one, the token itself: its row stays as it is).
    """
    before, seen = (ids[:, :-1], mask[:, :-1]) if ids.shape[1] > 1 else (ids, mask)
    empty = mask.sum(-1) == 1
    before, seen = before.clone(), seen.clone()
    before[empty, -1] = ids[empty, -1] if bos is None else bos
    seen[empty, -1] = 1
    return before, seen

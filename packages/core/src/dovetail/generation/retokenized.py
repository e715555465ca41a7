"""Drafts by a model with another vocabulary: what the two models tell each other is text."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dovetail.generation.candidates import Draft, DraftRule, room, write
from dovetail.generation.configuration import end_tokens
from dovetail.generation.decoding import Decoding


class RetokenizedDraft(Draft):
    """What a smaller model would write that has a tokenizer of its own.

    What is new since the last draft is translated together with the last ``target_lookbehind``
    tokens of the model and the last ``assistant_lookbehind`` of the draft model, with which it may
    join. Drafts are greedy: scores of another vocabulary say nothing about this one.
    """

    def __init__(self, model: Any, decoding: Decoding) -> None:
        super().__init__(model, decoding)
        self.tokenizer = decoding.arguments["tokenizer"]
        self.own = decoding.arguments["assistant_tokenizer"]
        self.lookbehind = decoding.config.target_lookbehind
        self.own_lookbehind = decoding.config.assistant_lookbehind
        self.own_ids: list[int] = []
        self.translated = 0

    def propose(self, decoding: Decoding) -> tuple[Tensor, None]:
        """Candidate tokens (1, L) of the model's vocabulary."""
        ids, count = decoding.ids[0].tolist(), room(decoding, self.count)
        self._follow(ids)
        if not count or not self.own_ids:
            return decoding.ids[:, :0], None
        read = torch.tensor([self.own_ids], device=self.model.device)
        rule = DraftRule(count, self.threshold, end_tokens(self.settings))
        written, _ = write(self.model, read, self.reading.resume(read), rule)
        self.reading.ids = torch.cat((read, written), dim=-1)
        found = self._translated_back(ids, written[0].tolist())[:count]
        return decoding.ids.new_tensor([found]), None

    def _follow(self, ids: list[int]) -> None:
        """Bring the text in the draft model's tokens up to date with `ids`."""
        known = ids[max(self.translated - self.lookbehind, 0) : self.translated]
        text = _continuation(self.tokenizer, known, ids[self.translated :])
        added = None
        if self.own_ids and text is not None:
            added = _joined(self.own, self.own_ids[-self.own_lookbehind :], text)
        if added is None:
            self.own_ids = _begun(self.own, _text(self.tokenizer, ids))
        else:
            self.own_ids += added
        self.translated = len(ids)

    def _translated_back(self, ids: list[int], written: list[int]) -> list[int]:
        """What the draft model wrote, in tokens that may follow `ids`."""
        text = _continuation(self.own, self.own_ids[-self.own_lookbehind :], written) or ""
        found = _joined(self.tokenizer, ids[-self.lookbehind :], text)
        return self.tokenizer.encode(text, add_special_tokens=False) if found is None else found


def _text(tokenizer: Any, ids: list[int]) -> str:
    """What `ids` say, to the letter."""
    return tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def _begun(tokenizer: Any, text: str) -> list[int]:
    """A text that goes on, with the special tokens that it begins with."""
    ids = list(tokenizer(text)["input_ids"])
    while ids and ids[-1] in (tokenizer.eos_token_id, tokenizer.sep_token_id):
        ids.pop()
    return ids


def _continuation(tokenizer: Any, known: list[int], new: list[int]) -> str | None:
    """The text that `new` adds to that of `known`; None when it changes it, as the second half of a
    character does.
    """
    before, after = _text(tokenizer, known), _text(tokenizer, known + new)
    return after[len(before) :] if after.startswith(before) else None


def _joined(tokenizer: Any, known: list[int], text: str) -> list[int] | None:
    """The tokens that `text` adds to `known`; None when it would join the last of them."""
    before = _text(tokenizer, known)
    alone, joined = (
        tokenizer.encode(part, add_special_tokens=False) for part in (before, before + text)
    )
    return joined[len(alone) :] if joined[: len(alone)] == alone else None

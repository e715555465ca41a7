"""Training a new vocabulary for an existing tokenizer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from tokenizers import AddedToken, Tokenizer, pre_tokenizers, trainers

from dovetail.errors import TokenizerError
from dovetail.tokenizers.backend import Backend
from dovetail.tokenizers.special_tokens import ADDITIONAL, ROLES
from dovetail.tokenizers.vocabulary import VocabularyMixin

TRAINERS = {
    "BPE": trainers.BpeTrainer,
    "Unigram": trainers.UnigramTrainer,
    "WordLevel": trainers.WordLevelTrainer,
    "WordPiece": trainers.WordPieceTrainer,
}


class TrainingMixin(VocabularyMixin):
    """`train_new_from_iterator` of a tokenizer."""

    _backend: Backend
    init_kwargs: dict[str, Any]

    def train_new_from_iterator(
        self,
        text_iterator: Iterable[Sequence[str]],
        vocab_size: int,
        length: int | None = None,
        new_special_tokens: Sequence[str | AddedToken] | None = None,
        special_tokens_map: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> Self:
        """A tokenizer of the same kind with a vocabulary of `vocab_size` learnt from batches of
        texts.

        `special_tokens_map` renames special tokens of this one; `length` (how many texts come) is
        for the progress bar; further keywords go to the trainer.

        Raises:
            TokenizerError: when the backend's model cannot be trained.
        """
        renamed = dict(special_tokens_map or {})
        state = json.loads(self._backend.tokenizer.to_str())
        kind = state["model"]["type"]
        if kind not in TRAINERS:
            raise TokenizerError(
                f"A {kind} model cannot be trained; train one of {', '.join(TRAINERS)}."
            )
        added = state.pop("added_tokens")
        unknown = _empty(state, renamed)
        tokenizer = Tokenizer.from_str(json.dumps(_without_template(state)))
        special = _special_tokens(added, renamed, new_special_tokens or [])
        options = _trainer_options(state, unknown, kwargs)
        trainer = TRAINERS[kind](vocab_size=vocab_size, special_tokens=special, **options)
        tokenizer.train_from_iterator(text_iterator, length=length, trainer=trainer)
        _restore_template(tokenizer, state, renamed)
        return type(self)(
            tokenizer_object=tokenizer, **self._renamed_settings(renamed, new_special_tokens or [])
        )

    def _renamed_settings(
        self, renamed: dict[str, str], new: Sequence[str | AddedToken]
    ) -> dict[str, Any]:
        settings = {
            name: value for name, value in self.init_kwargs.items() if not name.endswith("_file")
        }
        for name in ("tokenizer_object", "from_slow", "name_or_path"):
            settings.pop(name, None)
        for role in ROLES:
            token = self._role_tokens[role]
            if token is not None:
                settings[role] = _rename(token, renamed)
        additional = [_rename(token, renamed) for token in self._additional_special_tokens] + list(
            new
        )
        if additional:
            settings[ADDITIONAL] = additional
        return settings


def _empty(state: dict[str, Any], renamed: dict[str, str]) -> str | None:
    """Take the vocabulary out of a serialized backend; returns its unknown token."""
    model = state["model"]
    unknown = model.get("unk_token")
    if model["type"] == "Unigram":
        index = model.get("unk_id")
        unknown = None if index is None else model["vocab"][index][0]
        unknown = renamed.get(unknown, unknown) if unknown is not None else None
        model.update(
            unk_id=None if unknown is None else 0, vocab=[] if unknown is None else [[unknown, 0.0]]
        )
        return unknown
    model["vocab"] = {}
    if unknown is not None:
        unknown = model["unk_token"] = renamed.get(unknown, unknown)
        if model["type"] in ("WordLevel", "WordPiece"):
            model["vocab"] = {unknown: 0}
    if model["type"] == "BPE":
        model["merges"] = []
    return unknown


def _special_tokens(
    added: list[dict[str, Any]], renamed: dict[str, str], new: Sequence[str | AddedToken]
) -> list[str | AddedToken]:
    """The old special tokens under their new names, in the order of their ids, then the new
    ones."""
    tokens: list[str | AddedToken] = []
    for entry in sorted(added, key=lambda entry: entry["id"]):
        if entry["special"]:
            flags = {
                name: entry[name] for name in ("single_word", "lstrip", "rstrip", "normalized")
            }
            tokens.append(
                AddedToken(renamed.get(entry["content"], entry["content"]), special=True, **flags)
            )
    return tokens + list(new)


def _trainer_options(
    state: dict[str, Any], unknown: str | None, kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    model, options = state["model"], dict(kwargs)
    if model["type"] == "Unigram" and unknown is not None:
        options.setdefault("unk_token", unknown)
    if model["type"] in ("BPE", "WordPiece"):
        for name in ("continuing_subword_prefix", "end_of_word_suffix"):
            if model.get(name) is not None:
                options.setdefault(name, model[name])
    if "ByteLevel" in json.dumps(state.get("pre_tokenizer")):
        options.setdefault("initial_alphabet", pre_tokenizers.ByteLevel.alphabet())
    options.setdefault("show_progress", False)
    return options


def _without_template(state: dict[str, Any]) -> dict[str, Any]:
    """The post-processor names ids of the old vocabulary, so it is left out until the new one is
    there."""
    return state | {"added_tokens": [], "post_processor": None}


def _restore_template(tokenizer: Tokenizer, state: dict[str, Any], renamed: dict[str, str]) -> None:
    post = state.get("post_processor")
    if post is None:
        return
    serialized = json.loads(tokenizer.to_str())
    serialized["post_processor"] = _with_new_ids(post, tokenizer, renamed)
    tokenizer.post_processor = Tokenizer.from_str(json.dumps(serialized)).post_processor


def _with_new_ids(
    post: dict[str, Any], tokenizer: Tokenizer, renamed: dict[str, str]
) -> dict[str, Any]:
    """A serialized post-processor with its special tokens renamed and their ids looked up."""
    post = json.loads(json.dumps(post))
    if post["type"] == "Sequence":
        post["processors"] = [_with_new_ids(one, tokenizer, renamed) for one in post["processors"]]
    for role in ("sep", "cls"):  # BertProcessing and RobertaProcessing
        if role in post:
            token = renamed.get(post[role][0], post[role][0])
            post[role] = [token, _id(tokenizer, token)]
    if post["type"] == "TemplateProcessing":
        for part in [*post["single"], *post["pair"]]:
            if "SpecialToken" in part:
                part["SpecialToken"]["id"] = renamed.get(
                    part["SpecialToken"]["id"], part["SpecialToken"]["id"]
                )
        post["special_tokens"] = {
            renamed.get(key, key): _renamed_entry(renamed.get(key, key), entry, tokenizer, renamed)
            for key, entry in post["special_tokens"].items()
        }
    return post


def _renamed_entry(
    key: str, entry: dict[str, Any], tokenizer: Tokenizer, renamed: dict[str, str]
) -> dict[str, Any]:
    tokens = [renamed.get(token, token) for token in entry["tokens"]]
    return {"id": key, "tokens": tokens, "ids": [_id(tokenizer, token) for token in tokens]}


def _id(tokenizer: Tokenizer, token: str) -> int:
    index = tokenizer.token_to_id(token)
    if index is None:
        raise TokenizerError(
            f"The new vocabulary lacks {token!r}, which the tokenizer puts around sequences: make "
            "it a special token, or name its successor in special_tokens_map."
        )
    return index


def _rename(token: str | AddedToken, renamed: Mapping[str, str]) -> str | AddedToken:
    if isinstance(token, str):
        return renamed.get(token, token)
    content = renamed.get(token.content, token.content)
    flags = ("single_word", "lstrip", "rstrip", "normalized", "special")
    return AddedToken(content, **{name: getattr(token, name) for name in flags})

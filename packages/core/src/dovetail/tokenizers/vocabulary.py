"""The vocabulary of a tokenizer: tokens to ids and back, tokens added to it, ids to text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from tokenizers import AddedToken, Tokenizer
from tokenizers.decoders import Decoder

from dovetail.errors import TokenizerError
from dovetail.logging import get_logger
from dovetail.tokenizers.backend import Backend
from dovetail.tokenizers.special_tokens import SpecialTokensMixin

logger = get_logger(__name__)

CLEAN_UPS = (
    (" .", "."),
    (" ?", "?"),
    (" !", "!"),
    (" ,", ","),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
)
"""What `clean_up_tokenization_spaces` replaces: English punctuation and contractions, in this
order."""


class VocabularyMixin(SpecialTokensMixin):
    """Vocabulary access and decoding over the backend."""

    _backend: Backend
    clean_up_tokenization_spaces: bool

    @property
    def backend_tokenizer(self) -> Tokenizer:
        """The object of the `tokenizers` library that does the work."""
        return self._backend.tokenizer

    @property
    def _tokenizer(self) -> Tokenizer:
        return self._backend.tokenizer

    @property
    def decoder(self) -> Decoder:
        """The part of the backend that turns tokens to text."""
        return self._backend.tokenizer.decoder

    @property
    def vocab_size(self) -> int:
        """The size of the vocabulary without added tokens."""
        return self._backend.tokenizer.get_vocab_size(with_added_tokens=False)

    def __len__(self) -> int:
        return self._backend.tokenizer.get_vocab_size(with_added_tokens=True)

    def __bool__(self) -> bool:
        return True

    def __contains__(self, token: object) -> bool:
        return isinstance(token, str) and self._backend.tokenizer.token_to_id(token) is not None

    def get_vocab(self) -> dict[str, int]:
        """Token to id, added tokens included."""
        return self._backend.tokenizer.get_vocab(with_added_tokens=True)

    @property
    def vocab(self) -> dict[str, int]:
        """Token to id, added tokens included."""
        return self.get_vocab()

    @property
    def added_tokens_decoder(self) -> dict[int, AddedToken]:
        """Id to added token, by id."""
        return dict(sorted(self._backend.tokenizer.get_added_tokens_decoder().items()))

    @property
    def added_tokens_encoder(self) -> dict[str, int]:
        """Text of the added tokens to id, by id."""
        return {token.content: index for index, token in self.added_tokens_decoder.items()}

    def get_added_vocab(self) -> dict[str, int]:
        """Text of the added tokens to id, by id."""
        return self.added_tokens_encoder

    def _add_tokens(
        self, new_tokens: Iterable[str | AddedToken], special_tokens: bool = False
    ) -> int:
        def add(tokenizer: Tokenizer) -> int:
            method = tokenizer.add_special_tokens if special_tokens else tokenizer.add_tokens
            return method(list(new_tokens))

        return self._backend.change(add)

    def _add_listed(self, listed: Mapping[int, AddedToken]) -> None:
        """Bring the tokens of a file and all special tokens into the backend."""
        self._add_missing(token for _, token in sorted(listed.items()))
        for index, token in listed.items():
            found = self._backend.tokenizer.token_to_id(token.content)
            if found != index:
                logger.warning(
                    "The added token %r has the id %s, not %s as its file says: the files of "
                    "this tokenizer do not belong together.",
                    token.content,
                    found,
                    index,
                )
                return

    def _add_missing(self, listed: Iterable[AddedToken]) -> None:
        present = self._backend.tokenizer.get_added_tokens_decoder()
        known = {repr(token) for token in present.values()}
        wanted: list[str | AddedToken] = [token for token in listed if repr(token) not in known]
        contents = {token.content for token in present.values()} | {str(token) for token in wanted}
        special = self.all_special_tokens_extended
        wanted += [token for token in special if str(token) not in contents]
        texts = {str(token) for token in special}

        def is_special(token: str | AddedToken) -> bool:
            return str(token) in texts or (isinstance(token, AddedToken) and token.special)

        for is_one, run in groupby(wanted, key=is_special):
            self._add_tokens(
                [_as_special(token) if is_one else token for token in run], special_tokens=is_one
            )

    def convert_tokens_to_ids(self, tokens: str | Iterable[str] | None) -> Any:
        """The id of a token, or the list of ids of several; tokens not in the vocabulary get
        `unk_token_id`."""
        if tokens is None:
            return None
        if isinstance(tokens, str):
            return self._token_id(tokens, self._unknown_id())
        unknown = self._unknown_id()
        return [self._token_id(token, unknown) for token in tokens]

    def _token_id(self, token: str, unknown: int | None) -> int | None:
        index = self._backend.tokenizer.token_to_id(token)
        return unknown if index is None else index

    def _unknown_id(self) -> int | None:
        token = self._role_tokens["unk_token"]
        return None if token is None else self._backend.tokenizer.token_to_id(str(token))

    def convert_ids_to_tokens(
        self, ids: int | Iterable[int], skip_special_tokens: bool = False
    ) -> Any:
        """The token of an id, or the list of tokens of several (special ones left out if asked)."""
        convert = self._backend.tokenizer.id_to_token
        if isinstance(ids, int):
            return convert(ids)
        skipped = set(self.all_special_ids) if skip_special_tokens else ()
        return [convert(int(index)) for index in ids if int(index) not in skipped]

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """The text that tokens spell."""
        decoder = self._backend.tokenizer.decoder
        return decoder.decode(list(tokens)) if decoder is not None else " ".join(tokens)

    def decode(
        self,
        token_ids: Any,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """The text of one sequence of ids (an id, a list, an array or a tensor); of several, the
        list of their texts.

        Raises:
            TokenizerError: for ids that are negative or no whole numbers.
        """
        ids = _plain(token_ids)
        if isinstance(ids, int):
            ids = [ids]
        if ids and isinstance(ids[0], list | tuple):
            return self.batch_decode(
                ids, skip_special_tokens, clean_up_tokenization_spaces, **kwargs
            )
        return self.batch_decode(
            [ids], skip_special_tokens, clean_up_tokenization_spaces, **kwargs
        )[0]

    def batch_decode(
        self,
        sequences: Any,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """The texts of several sequences of ids."""
        rows = [[row] if isinstance(row, int) else row for row in map(_plain, _plain(sequences))]
        try:
            texts = self._decode_rows(rows, skip_special_tokens)
        except (OverflowError, TypeError) as failure:
            raise TokenizerError(
                f"These ids cannot be decoded: {failure}. Ids are whole numbers from 0 to "
                f"{len(self) - 1}; replace the -100 of ignored labels before decoding."
            ) from failure
        if clean_up_tokenization_spaces is None:
            clean_up_tokenization_spaces = self.clean_up_tokenization_spaces
        return (
            [self.clean_up_tokenization(text) for text in texts]
            if clean_up_tokenization_spaces
            else texts
        )

    def _decode_rows(self, rows: list[list[int]], skip_special_tokens: bool) -> list[str]:
        """The texts of `rows` of ids, as the vocabulary's pieces spell them."""
        backend = self._backend.tokenizer
        if len(rows) == 1:  # no threads to start
            return [backend.decode(rows[0], skip_special_tokens=skip_special_tokens)]
        return backend.decode_batch(rows, skip_special_tokens=skip_special_tokens)

    @staticmethod
    def clean_up_tokenization(out_string: str) -> str:
        """Remove the spaces before English punctuation and contractions."""
        for spaced, plain in CLEAN_UPS:
            out_string = out_string.replace(spaced, plain)
        return out_string


def _as_special(token: str | AddedToken) -> AddedToken:
    if isinstance(token, AddedToken):
        token.special = True
        return token
    return AddedToken(token, special=True)


def _plain(value: Any) -> Any:
    """Arrays and tensors as nested lists of int; a tuple or another sequence as it is."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Sequence | int):
        return value
    return list(value)

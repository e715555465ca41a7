"""Special tokens by role (`bos_token`, `pad_token`, ...): their texts, their ids, and adding them
to a vocabulary."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tokenizers import AddedToken

from dovetail.errors import TokenizerError
from dovetail.logging import get_logger

logger = get_logger(__name__)

ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
ADDITIONAL = "additional_special_tokens"


def _text(role: str) -> property:
    def get(self: SpecialTokensMixin) -> str | None:
        token = self._role_tokens.get(role)
        if token is None and self.verbose:
            logger.info("%s is asked for, but it is not set.", role)
        return None if token is None else str(token)

    def put(self: SpecialTokensMixin, value: str | AddedToken | None) -> None:
        self._put_role(role, value)

    return property(get, put, doc=f"The text of `{role}`, None where the tokenizer has none.")


def _id(role: str) -> property:
    def get(self: SpecialTokensMixin) -> int | None:
        token = self._role_tokens.get(role)
        return None if token is None else self.convert_tokens_to_ids(str(token))

    def put(self: SpecialTokensMixin, value: int | None) -> None:
        self._put_role(role, None if value is None else self.convert_ids_to_tokens(value))

    return property(get, put, doc=f"The id of `{role}`, None where the tokenizer has none.")


class SpecialTokensMixin:
    """The special tokens of a tokenizer.

    Used alone it only remembers them; a tokenizer also adds them to its vocabulary.
    """

    SPECIAL_TOKENS_ATTRIBUTES = [*ROLES, ADDITIONAL]  # noqa: RUF012 - a public name that others read

    def __init__(self, verbose: bool = False, **kwargs: Any) -> None:
        self.verbose = verbose
        self._pad_token_type_id = 0
        self._role_tokens: dict[str, str | AddedToken | None] = dict.fromkeys(ROLES)
        self._additional_special_tokens: list[str | AddedToken] = []
        self.extra_special_tokens: dict[str, str | AddedToken] = {}
        for role in ROLES:
            self._put_role(role, kwargs.get(role))
        self._put_extra(kwargs.get("extra_special_tokens"), kwargs.get(ADDITIONAL))

    bos_token, bos_token_id = _text("bos_token"), _id("bos_token")
    eos_token, eos_token_id = _text("eos_token"), _id("eos_token")
    unk_token, unk_token_id = _text("unk_token"), _id("unk_token")
    sep_token, sep_token_id = _text("sep_token"), _id("sep_token")
    pad_token, pad_token_id = _text("pad_token"), _id("pad_token")
    cls_token, cls_token_id = _text("cls_token"), _id("cls_token")
    mask_token, mask_token_id = _text("mask_token"), _id("mask_token")

    def __getattr__(self, name: str) -> Any:
        """Extra roles (``image_token``) and their ids (``image_token_id``) read like the common
        ones."""
        extra = self.__dict__.get("extra_special_tokens", {})
        if name in extra:
            return str(extra[name])
        if name.removesuffix("_id") in extra:
            return self.convert_tokens_to_ids(str(extra[name.removesuffix("_id")]))
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    @property
    def pad_token_type_id(self) -> int:
        """The token type that padding gets."""
        return self._pad_token_type_id

    @property
    def additional_special_tokens(self) -> list[str]:
        """The special tokens without a role of their own."""
        return [str(token) for token in self._additional_special_tokens]

    @additional_special_tokens.setter
    def additional_special_tokens(self, value: Sequence[str | AddedToken] | None) -> None:
        self._additional_special_tokens = _check_tokens(ADDITIONAL, value or [])

    @property
    def additional_special_tokens_ids(self) -> list[int]:
        """The ids of `additional_special_tokens`."""
        return self.convert_tokens_to_ids(self.additional_special_tokens)

    @additional_special_tokens_ids.setter
    def additional_special_tokens_ids(self, values: list[int]) -> None:
        self._additional_special_tokens = [self.convert_ids_to_tokens(value) for value in values]

    @property
    def special_tokens_map(self) -> dict[str, str | list[str]]:
        """Roles and the texts of their tokens; roles without a token are left out."""
        return {
            role: str(token) if not isinstance(token, list) else [str(one) for one in token]
            for role, token in self.special_tokens_map_extended.items()
        }

    @property
    def special_tokens_map_extended(self) -> dict[str, Any]:
        """`special_tokens_map` with `AddedToken` objects where they are known."""
        tokens: dict[str, Any] = {**self._role_tokens, **self.extra_special_tokens}
        tokens[ADDITIONAL] = list(self._additional_special_tokens)
        return {role: token for role, token in tokens.items() if token}

    @property
    def all_special_tokens_extended(self) -> list[str | AddedToken]:
        """Every special token once, in the order of the roles."""
        unique: dict[str, str | AddedToken] = {}
        for token in self.special_tokens_map_extended.values():
            for one in token if isinstance(token, list) else [token]:
                unique.setdefault(str(one), one)
        return list(unique.values())

    @property
    def all_special_tokens(self) -> list[str]:
        """The text of every special token once."""
        return [str(token) for token in self.all_special_tokens_extended]

    @property
    def all_special_ids(self) -> list[int]:
        """The ids of `all_special_tokens`."""
        return self.convert_tokens_to_ids(self.all_special_tokens)

    def add_special_tokens(
        self, special_tokens_dict: Mapping[str, Any], replace_additional_special_tokens: bool = True
    ) -> int:
        """Give roles their tokens, adding to the vocabulary those it lacks.

        Returns:
            how many tokens were added, those that the vocabulary had as ordinary ones included;
            resize the model's embeddings to ``len(tokenizer)``.

        Raises:
            TokenizerError: for a role that does not exist or a value that is no token.
        """
        new: list[AddedToken] = []
        for role, value in (special_tokens_dict or {}).items():
            if role in (ADDITIONAL, "extra_special_tokens") and not isinstance(value, Mapping):
                new += self._add_additional(value, replace_additional_special_tokens)
            elif role == "extra_special_tokens":
                self._put_extra(value, None)
                new += [_special(token) for token in value.values()]
            elif role in ROLES or role in self.extra_special_tokens:
                token = _special(_check_tokens(role, [value])[0])
                self._put_role(role, token)
                new.append(token)
            else:
                raise TokenizerError(
                    f"{role!r} is no role of a special token: use one of "
                    f"{', '.join(self.SPECIAL_TOKENS_ATTRIBUTES)}."
                )
        return self.add_tokens(new, special_tokens=True)

    def _add_additional(self, value: Any, replace: bool) -> list[AddedToken]:
        tokens = [_special(token) for token in _check_tokens(ADDITIONAL, value)]
        kept: list[str | AddedToken] = [] if replace else list(self._additional_special_tokens)
        present = {str(token) for token in kept}
        self._additional_special_tokens = kept + [
            token for token in tokens if str(token) not in present
        ]
        return tokens

    def add_tokens(
        self,
        new_tokens: str | AddedToken | Sequence[str | AddedToken],
        special_tokens: bool = False,
    ) -> int:
        """Make texts tokens that are never split, and return how many were not before."""
        if not new_tokens:
            return 0
        tokens = [new_tokens] if isinstance(new_tokens, str | AddedToken) else list(new_tokens)
        return self._add_tokens(_check_tokens("new_tokens", tokens), special_tokens=special_tokens)

    def sanitize_special_tokens(self) -> int:
        """Make sure that the vocabulary holds every special token; returns how many it lacked."""
        return self.add_tokens(self.all_special_tokens_extended, special_tokens=True)

    def _add_tokens(self, new_tokens: list[str | AddedToken], special_tokens: bool = False) -> int:
        return 0

    def convert_tokens_to_ids(self, tokens: Any) -> Any:
        """The ids of tokens; a tokenizer overrides this."""
        raise TokenizerError(f"{type(self).__name__} has no vocabulary: use a tokenizer.")

    def convert_ids_to_tokens(self, ids: Any, skip_special_tokens: bool = False) -> Any:
        """The tokens of ids; a tokenizer overrides this."""
        raise TokenizerError(f"{type(self).__name__} has no vocabulary: use a tokenizer.")

    def _put_role(self, role: str, value: str | AddedToken | None) -> None:
        if value is not None:
            _check_tokens(role, [value])
        if role in self.extra_special_tokens and value is not None:
            self.extra_special_tokens[role] = value
        else:
            self._role_tokens[role] = (
                value if value is None or isinstance(value, AddedToken) else str(value)
            )

    def _put_extra(self, extra: Any, additional: Any) -> None:
        """The newest files call the additional tokens `extra_special_tokens`, or give them roles in
        a mapping."""
        if isinstance(extra, Mapping):
            _check_tokens("extra_special_tokens", list(extra.values()))
            self.extra_special_tokens = dict(extra)
            extra = None
        tokens = _check_tokens(ADDITIONAL, additional if additional is not None else extra or [])
        self._additional_special_tokens = tokens


def _special(token: str | AddedToken) -> AddedToken:
    """As a special token; plain text becomes one that the normalizer never sees."""
    if isinstance(token, AddedToken):
        token.special = True
        return token
    return AddedToken(token, normalized=False, special=True)


def _check_tokens(role: str, tokens: Iterable[Any]) -> list[str | AddedToken]:
    if isinstance(tokens, str | AddedToken | Mapping) or not isinstance(tokens, Iterable):
        raise TokenizerError(f"{role}={tokens!r} must be a list of tokens (str or AddedToken).")
    tokens = list(tokens)
    for token in tokens:
        if not isinstance(token, str | AddedToken):
            raise TokenizerError(
                f"{role}: the token {token!r} is of type {type(token).__name__}; pass a str or an "
                "AddedToken."
            )
    return tokens

"""A tokenizer's files: reading those that the 4.x and 5.x releases of the field's library write,
and writing them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from tokenizers import AddedToken, Tokenizer

from dovetail.errors import DovetailError, HubError, TokenizerError
from dovetail.json_files import read_json_object
from dovetail.logging import get_logger
from dovetail.pushing import PushToHubMixin
from dovetail.tokenizers.backend import Backend
from dovetail.tokenizers.special_tokens import ADDITIONAL, ROLES
from dovetail.tokenizers.vocabulary import VocabularyMixin

logger = get_logger(__name__)

TOKENIZER_FILE = "tokenizer.json"
CONFIG_FILE = "tokenizer_config.json"
SPECIAL_TOKENS_FILE = "special_tokens_map.json"
ADDED_TOKENS_FILE = "added_tokens.json"
CHAT_TEMPLATE_FILE = "chat_template.jinja"
CHAT_TEMPLATE_FOLDER = "additional_chat_templates"

SLOW_FILES = (
    {"vocab_file": "tokenizer.model"},
    {"vocab_file": "spiece.model"},
    {"vocab_file": "sentencepiece.bpe.model"},
    {"vocab_file": "vocab.json", "merges_file": "merges.txt"},
    {"vocab_file": "vocab.txt"},
)
"""What a class without a format of its own looks for when there is no ``tokenizer.json``."""
SETTINGS_FILES = (
    "tokenizer_config_file",
    "special_tokens_map_file",
    "added_tokens_file",
    "chat_template_file",
)
"""Those of a tokenizer's files that hold no vocabulary."""
CALLERS = (
    "use_fast",
    "tokenizer_type",
    "trust_remote_code",
    "code_revision",
    "resume_download",
    "proxies",
    "use_auth_token",
    "_from_auto",
    "_from_pipeline",
    "_commit_hash",
    "_is_local",
    "gguf_file",
)
"""Arguments of `from_pretrained` that are none of the tokenizer's."""
NOT_SETTINGS = (
    "tokenizer_class",
    "fast_tokenizer_files",
    "auto_map",
    "backend",
    "is_local",
    "special_tokens_map_file",
    "local_files_only",
    "name_or_path",
    "device_map",
    "from_slow",
    "tokenizer_object",
    "_commit_hash",
)
"""Keys of ``tokenizer_config.json`` that are no settings of the tokenizer, or not the file's to
set."""


class FilesMixin(PushToHubMixin, VocabularyMixin):
    """`from_pretrained` and `save_pretrained`."""

    vocab_files_names: ClassVar[dict[str, str]]
    init_kwargs: dict[str, Any]
    name_or_path: str
    chat_template: str | dict[str, str] | None
    _backend: Backend
    _auto_class: ClassVar[str | None]
    _processor_class: str | None

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike[str],
        *init_inputs: Any,
        cache_dir: str | os.PathLike[str] | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
        token: str | bool | None = None,
        revision: str = "main",
        trust_remote_code: bool = False,
        **kwargs: Any,
    ) -> Self:
        """Load a tokenizer from a folder, one of its files, or the Hub; further keywords override
        its settings.

        Raises:
            HubError: when there is no tokenizer at that place.
            TokenizerError: when one of its files is damaged; the message names it.
        """
        fetching = {
            "cache_dir": cache_dir,
            "force_download": force_download,
            "local_files_only": local_files_only,
            "token": token if token is not None else kwargs.pop("use_auth_token", None),
            "revision": revision,
            "subfolder": kwargs.pop("subfolder", None) or "",
        }
        kwargs = {name: value for name, value in kwargs.items() if name not in CALLERS}
        source = os.fspath(pretrained_model_name_or_path)
        files = _locate(cls, source, fetching)
        files |= {name: kwargs.pop(name) for name in list(kwargs) if name in cls.vocab_files_names}
        settings = _read_settings(files, kwargs)
        vocabulary = {
            name: path for name, path in files.items() if path and name not in SETTINGS_FILES
        }
        if not vocabulary and not init_inputs and not cls.builds_without_files():
            raise HubError(
                f"{source} holds no tokenizer that {cls.__name__} can load: none of "
                f"{', '.join(sorted({TOKENIZER_FILE, *cls.vocab_files_names.values()}))} is there. "
                "Check the name, or build the tokenizer and save it there first."
            )
        settings.setdefault("name_or_path", source)
        build: Any = cls
        try:
            tokenizer = build(*init_inputs, **vocabulary, **settings)
        except (TypeError, ValueError, KeyError, AttributeError) as failure:
            raise _located(failure, cls, files, source) from failure
        tokenizer.init_inputs = init_inputs
        return tokenizer

    @classmethod
    def builds_without_files(cls) -> bool:
        """Whether the tokenizer needs no vocabulary file, for instance because bytes are its
        tokens."""
        return False

    @classmethod
    def register_for_auto_class(cls, auto_class: str | type = "AutoTokenizer") -> None:
        """Mark a class of your own as one that `AutoTokenizer` is to find."""
        cls._auto_class = auto_class if isinstance(auto_class, str) else auto_class.__name__

    def save_pretrained(
        self,
        save_directory: str | os.PathLike[str],
        legacy_format: bool | None = None,
        filename_prefix: str | None = None,
        push_to_hub: bool = False,
        save_jinja_files: bool = False,
        **kwargs: Any,
    ) -> tuple[str, ...]:
        """Write everything that `from_pretrained` needs into a folder; all files appear together.

        `legacy_format` True leaves out ``tokenizer.json``, False leaves out the slow format's
        files. With `save_jinja_files` chat templates get files of their own instead of a place in
        ``tokenizer_config.json``.

        Returns:
            the paths of the files.
        """
        from dovetail.hub import published_folder

        folder = Path(save_directory)
        if folder.is_file():
            raise TokenizerError(f"{folder} is a file; save_pretrained needs a folder.")
        prefix = f"{filename_prefix}-" if filename_prefix else ""
        texts = self._config_files(save_jinja_files)
        if legacy_format is not True:
            texts[TOKENIZER_FILE] = self._backend.change(_serialized)
        added = {text: i for text, i in self.get_added_vocab().items() if i >= self.vocab_size}
        if legacy_format is not False and added:
            texts[ADDED_TOKENS_FILE] = _json(added)
        with published_folder(folder) as staging:
            for name, text in texts.items():
                path = staging / name if "/" in name else staging / f"{prefix}{name}"
                path.parent.mkdir(exist_ok=True)
                path.write_text(text, encoding="utf-8")
            if legacy_format is not False:
                self.save_vocabulary(str(staging), filename_prefix=filename_prefix)
            written = sorted(
                path.relative_to(staging).as_posix()
                for path in staging.rglob("*")
                if path.is_file()
            )
        if push_to_hub:
            self._upload_folder(folder, written, **kwargs)
        return tuple(str(folder / name) for name in written)

    def save_vocabulary(
        self, save_directory: str, filename_prefix: str | None = None
    ) -> tuple[str, ...]:
        """Write the files of the slow format, where the tokenizer has one, and return their
        paths."""
        return ()

    def _config_files(self, save_jinja_files: bool) -> dict[str, str]:
        """Names and texts of the files of settings."""
        config = {
            name: value
            for name, value in self.init_kwargs.items()
            if not name.endswith("_file") and name not in NOT_SETTINGS
        }
        config |= {name: getattr(self, name) for name in config if hasattr(self, name)}
        for name in ("model_max_length", "clean_up_tokenization_spaces"):
            config[name] = getattr(self, name)
        config |= dict.fromkeys(set(config) & set(ROLES)) | self.special_tokens_map
        if self.extra_special_tokens:
            config["extra_special_tokens"] = {
                role: str(token) for role, token in self.extra_special_tokens.items()
            }
        config["added_tokens_decoder"] = {
            str(index): _flags(token) | {"special": token.special}
            for index, token in self.added_tokens_decoder.items()
        }
        config["tokenizer_class"] = type(self).__name__.removesuffix("Fast")
        if type(self).__name__ == "PreTrainedTokenizerFast":
            config["tokenizer_class"] = "PreTrainedTokenizerFast"
        if self._processor_class:
            config["processor_class"] = self._processor_class
        config.pop("chat_template", None)
        templates = _template_files(self.chat_template) if save_jinja_files else {}
        if self.chat_template is not None and not save_jinja_files:
            config["chat_template"] = _listed(self.chat_template)
        special = {
            role: _described(token) for role, token in self.special_tokens_map_extended.items()
        }
        return {CONFIG_FILE: _json(config), SPECIAL_TOKENS_FILE: _json(special)} | templates

    def _set_processor_class(self, processor_class: str) -> None:
        self._processor_class = processor_class


def _serialized(tokenizer: Tokenizer) -> str:
    """The backend without the settings of the last call."""
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer.to_str(pretty=True)


def _flags(token: AddedToken) -> dict[str, Any]:
    return {
        name: getattr(token, name)
        for name in ("content", "lstrip", "normalized", "rstrip", "single_word")
    }


def _described(token: Any) -> Any:
    if isinstance(token, list):
        return [_described(one) for one in token]
    return _flags(token) if isinstance(token, AddedToken) else token


def _json(value: Mapping[str, Any]) -> str:
    def plain(odd: Any) -> Any:
        if isinstance(odd, AddedToken):
            return {"__type": "AddedToken", **_flags(odd), "special": odd.special}
        raise TokenizerError(
            f"The setting {odd!r:.80} ({type(odd).__name__}) cannot be written to {CONFIG_FILE}: "
            "settings are JSON values."
        )

    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, default=plain) + "\n"


def _listed(template: str | dict[str, str]) -> Any:
    if isinstance(template, str):
        return template
    return [{"name": name, "template": text} for name, text in template.items()]


def _template_files(template: str | dict[str, str] | None) -> dict[str, str]:
    if template is None:
        return {}
    named = {"default": template} if isinstance(template, str) else template
    return {
        CHAT_TEMPLATE_FILE if name == "default" else f"{CHAT_TEMPLATE_FOLDER}/{name}.jinja": text
        for name, text in named.items()
    }


def _locate(cls: type[FilesMixin], source: str, fetching: dict[str, Any]) -> dict[str, str | None]:
    """Argument names of the tokenizer's files to their paths, None for those that are not there."""
    from dovetail import hub

    if os.path.isfile(source):
        return {"tokenizer_file" if source.endswith(".json") else "vocab_file": source}
    options = dict(fetching) | {"raise_on_missing": False}

    def find(name: str) -> str | None:
        path = hub.cached_file(source, name, **options)
        options["commit_hash"] = options.get("commit_hash") or hub.commit_of(path)
        return path

    files: dict[str, str | None] = {
        "tokenizer_config_file": find(CONFIG_FILE),
        "tokenizer_file": find(TOKENIZER_FILE),
        "special_tokens_map_file": find(SPECIAL_TOKENS_FILE),
        "added_tokens_file": find(ADDED_TOKENS_FILE),
        "chat_template_file": find(CHAT_TEMPLATE_FILE),
    }
    for name, filename in cls.vocab_files_names.items():
        if name not in files:
            files[name] = find(filename)
    own = [name for name in cls.vocab_files_names if files.get(name)]
    for candidates in SLOW_FILES if not own and not files["tokenizer_file"] else ():
        found = {name: find(filename) for name, filename in candidates.items()}
        if found["vocab_file"]:
            return files | found
    return files


def _located(
    failure: Exception, cls: type, files: Mapping[str, str | None], source: str
) -> DovetailError:
    """`failure` of a constructor, with the file it comes from."""
    where = files.get("tokenizer_config_file") or source
    if not isinstance(failure, DovetailError):
        return TokenizerError(
            f"{where}: {cls.__name__} cannot be made with these settings: {failure}. Correct the "
            "file, or load it with the class that it was written by."
        )
    if any(path and str(path) in str(failure) for path in files.values()):
        return failure
    return TokenizerError(f"{where}: {failure}")


def _read_settings(files: Mapping[str, str | None], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of the constructor that files and caller give, the caller's last."""
    path = files.get("tokenizer_config_file")
    config = read_json_object(path, error=TokenizerError) if path else {}
    settings = {
        name: _token(value, str(path))
        for name, value in config.items()
        if name not in NOT_SETTINGS and not name.endswith("_file")
    }
    template = files.get("chat_template_file")
    if template:
        settings["chat_template"] = _read_templates(template, settings.get("chat_template"))
    listed = settings.pop("added_tokens_decoder", None)
    if listed is not None:
        settings["added_tokens_decoder"] = _read_added(listed, str(path))
    else:
        _read_older_files(files, settings)
    if isinstance(settings.get("extra_special_tokens"), list):  # how the 5.x releases call them
        settings.setdefault(ADDITIONAL, settings.pop("extra_special_tokens"))
    known = {token.content: token for token in settings.get("added_tokens_decoder", {}).values()}
    for role in ROLES:
        if isinstance(settings.get(role), str):
            settings[role] = known.get(settings[role], settings[role])
    if isinstance(settings.get(ADDITIONAL), list):
        settings[ADDITIONAL] = [
            known.get(token, token) if isinstance(token, str) else token
            for token in settings[ADDITIONAL]
        ]
    return settings | dict(kwargs)


def _token(value: Any, where: str) -> Any:
    """A JSON object that stands for an `AddedToken` as one; anything else as it is."""
    if isinstance(value, list):
        return [_token(one, where) for one in value]
    if (
        isinstance(value, dict)
        and "content" in value
        and (value.get("__type") == "AddedToken" or "lstrip" in value)
    ):
        fields = {name: entry for name, entry in value.items() if name != "__type"}
        try:
            return AddedToken(**fields)
        except TypeError as failure:
            raise TokenizerError(
                f"{where}: {value!r:.120} is no token: {failure}. Correct the file."
            ) from failure
    return value


def _read_added(listed: Any, where: str) -> dict[int, AddedToken]:
    added = {}
    for index, value in listed.items() if isinstance(listed, dict) else [(None, listed)]:
        token = _token(
            value | {"__type": "AddedToken"} if isinstance(value, dict) else value, where
        )
        if not isinstance(token, AddedToken) or not str(index).isdigit():
            raise TokenizerError(
                f"{where}: added_tokens_decoder must map ids to tokens, but holds {index!r}: "
                f"{value!r:.80}. Correct the file."
            )
        added[int(str(index))] = token
    return added


def _read_older_files(files: Mapping[str, str | None], settings: dict[str, Any]) -> None:
    """``special_tokens_map.json`` and ``added_tokens.json``, which say what newer configs say
    themselves."""
    path = files.get("special_tokens_map_file")
    for role, value in (read_json_object(path, error=TokenizerError) if path else {}).items():
        if not settings.get(role) or isinstance(value, dict):
            settings[role] = _token(value, str(path))
    path = files.get("added_tokens_file")
    if path is None:
        return
    special = {str(token) for role in ROLES if (token := settings.get(role))}
    special |= {str(token) for token in settings.get(ADDITIONAL) or []}
    entries = read_json_object(path, error=TokenizerError)
    for text, index in entries.items():
        if isinstance(index, bool) or not isinstance(index, int):
            raise TokenizerError(
                f"{path}: the token {text!r} has the id {index!r}, which is no whole number."
            )
    settings["added_tokens_decoder"] = {
        index: AddedToken(text, normalized=text not in special, special=text in special)
        for text, index in entries.items()
    }


def _read_templates(path: str, listed: Any) -> str | dict[str, str]:
    """The template in a file of its own, and the named ones in the folder beside it."""
    default = _read_text(path)
    named = {
        file.stem: _read_text(file)
        for file in sorted(Path(path).with_name(CHAT_TEMPLATE_FOLDER).glob("*.jinja"))
    }
    if isinstance(listed, list):
        named = {
            entry["name"]: entry["template"] for entry in listed if isinstance(entry, dict)
        } | named
    return {**named, "default": default} if named else default


def _read_text(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as failure:
        raise TokenizerError(
            f"{path} is no readable template: {failure}. Replace the file by an intact one."
        ) from failure

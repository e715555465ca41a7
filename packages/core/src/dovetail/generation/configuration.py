"""Settings of ``generate``: typed fields with their ranges, read from and written to
``generation_config.json``.

Source of names and defaults: the field's `GenerationConfig` at 4.46.3.
"""

from __future__ import annotations

import copy
import json
import os
import warnings
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dovetail import hub
from dovetail.errors import GenerationError
from dovetail.generation.checks import token_tuple
from dovetail.generation.rules import CHECKS, CONTRADICTIONS, EXTRA_OUTPUTS, IDLE
from dovetail.generation.watermarking import WatermarkingConfig
from dovetail.json_files import read_json_object

if TYPE_CHECKING:
    from dovetail.caches import CacheConfig

GENERATION_CONFIG_NAME = "generation_config.json"
FORMAT_VERSION = "4.46.3"  # the release whose file format is written
CALL_ARGUMENTS = (
    "logits_processor",
    "stopping_criteria",
    "prefix_allowed_tokens_fn",
    "synced_gpus",
    "assistant_model",
    "streamer",
    "negative_prompt_ids",
    "negative_prompt_attention_mask",
)


class GenerationMode(StrEnum):
    """The ways to generate that settings alone can ask for: names of built-in or plugged-in
    strategies.
    """

    CONTRASTIVE_SEARCH = "contrastive_search"
    GREEDY_SEARCH = "greedy_search"
    SAMPLE = "sample"
    ASSISTED_GENERATION = "assisted_generation"
    DOLA_GENERATION = "dola_generation"
    BEAM_SEARCH = "beam_search"
    BEAM_SAMPLE = "beam_sample"
    CONSTRAINED_BEAM_SEARCH = "constrained_beam_search"
    GROUP_BEAM_SEARCH = "group_beam_search"


class GenerationConfig(hub.PushToHubMixin):
    """All settings of ``generate``; keywords that are no setting are kept as attributes and saved
    along.

    Raises `GenerationError` for a value out of its range or two settings that exclude each other,
    and warns about settings that will have no effect.
    """

    # How long
    max_length: int | None = 20
    max_new_tokens: int | None = None
    min_length: int | None = 0
    min_new_tokens: int | None = None
    early_stopping: bool | str | None = False
    max_time: float | None = None
    stop_strings: str | list[str] | None = None
    # Which strategy
    do_sample: bool = False
    num_beams: int = 1
    num_beam_groups: int = 1
    penalty_alpha: float | None = None
    dola_layers: str | list[int] | None = None
    use_cache: bool = True
    cache_implementation: str | None = None
    cache_config: CacheConfig | dict[str, Any] | None = None
    prefill_chunk_size: int | None = None
    return_legacy_cache: bool | None = None
    # What changes the scores
    temperature: float | None = 1.0
    top_k: int | None = 50
    top_p: float | None = 1.0
    min_p: float | None = None
    typical_p: float | None = 1.0
    epsilon_cutoff: float | None = 0.0
    eta_cutoff: float | None = 0.0
    diversity_penalty: float | None = 0.0
    repetition_penalty: float | None = 1.0
    encoder_repetition_penalty: float | None = 1.0
    length_penalty: float | None = 1.0
    no_repeat_ngram_size: int | None = 0
    encoder_no_repeat_ngram_size: int | None = 0
    bad_words_ids: list[list[int]] | None = None
    force_words_ids: list[Any] | None = None
    renormalize_logits: bool = False
    constraints: list[Any] | None = None
    forced_bos_token_id: int | None = None
    forced_eos_token_id: int | list[int] | None = None
    remove_invalid_values: bool | None = False
    exponential_decay_length_penalty: tuple[int, float] | None = None
    suppress_tokens: list[int] | None = None
    begin_suppress_tokens: list[int] | None = None
    forced_decoder_ids: list[list[int]] | None = None
    sequence_bias: Any = None
    token_healing: bool = False
    guidance_scale: float | None = None
    low_memory: bool | None = None
    watermarking_config: Any = None
    # What is returned
    num_return_sequences: int = 1
    output_attentions: bool = False
    output_hidden_states: bool = False
    output_scores: bool = False
    output_logits: bool | None = None
    return_dict_in_generate: bool = False
    # Special tokens
    pad_token_id: int | None = None
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    decoder_start_token_id: int | list[int] | None = None
    # Assisted decoding
    is_assistant: bool = False
    num_assistant_tokens: int = 20
    num_assistant_tokens_schedule: str = "constant"
    assistant_confidence_threshold: float = 0.4
    prompt_lookup_num_tokens: int | None = None
    max_matching_ngram_size: int | None = None
    # Of later releases than 4.46.3
    assistant_early_exit: int | None = None
    assistant_lookbehind: int = 10
    target_lookbehind: int = 10
    # Texts of a given form
    json_schema: dict[str, Any] | str | None = None
    regex: str | None = None
    grammar: str | None = None
    # For strategies of plugins
    generation_kwargs: dict[str, Any] = {}  # noqa: RUF012 - every instance gets a copy

    extra_output_flags = EXTRA_OUTPUTS

    def __init__(self, **kwargs: Any) -> None:
        self._from_model_config: bool = kwargs.pop("_from_model_config", False)
        self._commit_hash: str | None = kwargs.pop("_commit_hash", None)
        self._original_object_hash: int | None = kwargs.pop("_original_object_hash", None)
        self.transformers_version: str = kwargs.pop("transformers_version", FORMAT_VERSION)
        for name, default in DEFAULTS.items():
            setattr(self, name, kwargs.pop(name) if name in kwargs else copy.copy(default))
        if not self._from_model_config:  # a model's config has many keys that are no settings
            for name, value in kwargs.items():
                setattr(self, name, value)
        self.validate(is_init=True)

    def validate(self, is_init: bool = False) -> None:
        """Raise `GenerationError` for settings that cannot be; warn about settings without "
        "effect."""
        for name in CALL_ARGUMENTS:
            if name in self.__dict__:
                raise GenerationError(
                    f"{name} is no setting but an argument of one call: pass it to generate() or "
                    "to the pipeline"
                )
        self._check()
        self._warn(DEFAULTS, stacklevel=3 if is_init else 2)

    def _check(self) -> None:
        if isinstance(self.watermarking_config, dict):
            self.watermarking_config = WatermarkingConfig.from_dict(self.watermarking_config)
        self._check_cache_config()
        for name, check in CHECKS.items():
            check(name, getattr(self, name))
        for rule in CONTRADICTIONS:
            if (problem := rule(self)) is not None:
                raise GenerationError(problem)

    def _check_cache_config(self) -> None:
        """Turn the settings of a cache into an object of their class."""
        if self.cache_config is None:
            return
        from dovetail.caches.configs import CONFIGS  # they need torch, other settings do not

        kind = CONFIGS.get(self.cache_implementation or "")
        if kind is None:
            return
        if isinstance(self.cache_config, dict):
            self.cache_config = kind.from_dict(self.cache_config)
        elif not isinstance(self.cache_config, kind):
            raise GenerationError(
                f"cache_config is a {type(self.cache_config).__name__}: the cache "
                f"{self.cache_implementation!r} is configured by a {kind.__name__} or a dictionary"
            )
        self.cache_config.validate()

    def _warn(self, names: Iterable[str], stacklevel: int) -> None:
        for message in self._idle_settings(names):
            warnings.warn(message, UserWarning, stacklevel=stacklevel + 1)

    def _idle_settings(self, names: Iterable[str]) -> list[str]:
        """One sentence for each setting among `names` that has no effect together with the "
        "others."""
        messages = []
        for reason, settings, active in IDLE:
            if not active(self):
                messages += [
                    f"{name}={getattr(self, name)!r} has no effect: {reason}"
                    for name in settings
                    if name in names
                    and getattr(self, name) is not False
                    and _differs(getattr(self, name), DEFAULTS[name])
                ]
        pad = self.pad_token_id
        if "pad_token_id" in names and isinstance(pad, int) and pad < 0:
            messages.append(
                f"pad_token_id={pad} is negative: set it to a token of the vocabulary to "
                "generate in batches"
            )
        return messages

    def get_generation_mode(self, assistant_model: Any = None) -> GenerationMode:
        """The strategy that these settings, and an `assistant_model` if there is one, ask for."""
        if self.constraints is not None or self.force_words_ids is not None:
            mode = GenerationMode.CONSTRAINED_BEAM_SEARCH
        elif self.num_beams > 1:
            if self.num_beam_groups > 1:
                mode = GenerationMode.GROUP_BEAM_SEARCH
            else:
                mode = GenerationMode.BEAM_SAMPLE if self.do_sample else GenerationMode.BEAM_SEARCH
        elif self.do_sample:
            mode = GenerationMode.SAMPLE
        elif self.penalty_alpha and self.top_k is not None and self.top_k > 1:
            mode = GenerationMode.CONTRASTIVE_SEARCH
        else:
            mode = GenerationMode.GREEDY_SEARCH
        one_line = mode in (GenerationMode.GREEDY_SEARCH, GenerationMode.SAMPLE)
        helpers = {
            GenerationMode.ASSISTED_GENERATION: ("assistant_model", assistant_model),
            GenerationMode.DOLA_GENERATION: ("dola_layers", self.dola_layers),
        }
        for name in ("prompt_lookup_num_tokens", "assistant_early_exit"):
            if helpers[GenerationMode.ASSISTED_GENERATION][1] is None:
                helpers[GenerationMode.ASSISTED_GENERATION] = (name, getattr(self, name))
        for helped, (name, value) in helpers.items():
            if value is None:
                continue
            if not one_line:
                raise GenerationError(
                    f"{name} works with greedy search and sampling alone, not with {mode.value}"
                )
            mode = helped
        return mode

    # Reading

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name: str | os.PathLike[str],
        config_file_name: str | os.PathLike[str] | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
        token: str | bool | None = None,
        revision: str = "main",
        **kwargs: Any,
    ) -> GenerationConfig:
        """Read the settings in a folder, a file or a Hub repository; `kwargs` override them.

        Raises `HubError` when there is no such file and `ConfigError` when it is no JSON object of
        valid settings.
        """
        name = os.fspath(config_file_name or GENERATION_CONFIG_NAME)
        kwargs.pop("_from_auto", None)
        where = {key: kwargs.pop(key) for key in ("subfolder",) if key in kwargs}
        for ignored in ("resume_download", "proxies", "user_agent", "_from_pipeline"):
            kwargs.pop(ignored, None)
        if os.path.isfile(pretrained_model_name):
            file: str | None = os.fspath(pretrained_model_name)
        else:
            file = hub.cached_file(
                pretrained_model_name,
                name,
                cache_dir=cache_dir,
                force_download=force_download,
                token=token,
                revision=revision,
                local_files_only=local_files_only,
                **where,
            )
        settings = read_json_object(str(file))
        return cls.from_dict(settings, **kwargs)

    @classmethod
    def from_dict(cls, config_dict: Mapping[str, Any], **kwargs: Any) -> Any:
        """Make settings of a dictionary, overridden by `kwargs`; with
        ``return_unused_kwargs=True``, a pair with those unused.
        """
        return_unused = kwargs.pop("return_unused_kwargs", False)
        for private in ("_from_auto", "_from_pipeline"):
            kwargs.pop(private, None)
        if kwargs.get("_commit_hash") is None:
            kwargs.pop("_commit_hash", None)
        config = cls(**{**copy.deepcopy(dict(config_dict)), **kwargs})
        unused = {key: value for key, value in kwargs.items() if key not in config.__dict__}
        return (config, unused) if return_unused else config

    @classmethod
    def from_model_config(cls, model_config: Any) -> GenerationConfig:
        """The settings that a model's config carries, as older checkpoints do; those of its decoder
        fill what it leaves open.
        """
        settings = {
            name: getattr(model_config, name) for name in DEFAULTS if hasattr(model_config, name)
        }
        decoder = model_config.get_text_config(decoder=True)
        if decoder is not model_config:
            for name, default in DEFAULTS.items():
                value = getattr(decoder, name, default)
                if _differs(value, default) and not _differs(settings.get(name, default), default):
                    settings[name] = value
        if any(settings.get(flag) for flag in cls.extra_output_flags):
            settings["return_dict_in_generate"] = True
        config = cls(_from_model_config=True, **copy.deepcopy(settings))
        config._original_object_hash = hash(config)
        return config

    @property
    def _is_untouched_copy(self) -> bool:
        """Whether these settings are what `from_model_config` made, unchanged."""
        return self._from_model_config and self._original_object_hash == hash(self)

    def update(self, **kwargs: Any) -> dict[str, Any]:
        """Set the known fields among `kwargs`, validate, and return the rest. Only fields set here
        are warned about.
        """
        known = {name: value for name, value in kwargs.items() if hasattr(self, name)}
        for name, value in known.items():
            setattr(self, name, value)
        self._check()
        self._warn(known, stacklevel=2)
        return {name: value for name, value in kwargs.items() if name not in known}

    # Writing

    def to_dict(self) -> dict[str, Any]:
        """All fields and kept keys, ready for JSON."""
        output = {
            name: copy.deepcopy(value)
            for name, value in self.__dict__.items()
            if name not in PRIVATE
        }
        if hasattr(output["watermarking_config"], "to_dict"):
            output["watermarking_config"] = output["watermarking_config"].to_dict()
        if hasattr(output["cache_config"], "to_dict"):
            output["cache_config"] = output["cache_config"].to_dict()
        return output

    def to_diff_dict(self) -> dict[str, Any]:
        """What differs from the defaults, with the version of the format."""
        usual = {**DEFAULTS, "_from_model_config": False}
        return {
            name: value
            for name, value in self.to_dict().items()
            if name not in usual or _differs(value, usual[name])
        }

    def to_json_string(self, use_diff: bool = True, ignore_metadata: bool = False) -> str:
        """The settings as JSON text; `ignore_metadata` leaves out version and origin."""
        fields = self.to_diff_dict() if use_diff else self.to_dict()
        if ignore_metadata:
            fields = {name: value for name, value in fields.items() if name not in METADATA}
        return json.dumps(_plain(fields), indent=2, sort_keys=True) + "\n"

    def to_json_file(self, json_file_path: str | os.PathLike[str], use_diff: bool = True) -> None:
        """Write the settings to a file, which is replaced in one step."""
        hub.atomic_write(json_file_path, self.to_json_string(use_diff=use_diff))

    def save_pretrained(
        self,
        save_directory: str | os.PathLike[str],
        config_file_name: str | os.PathLike[str] | None = None,
        push_to_hub: bool = False,
        **kwargs: Any,
    ) -> None:
        """Write ``generation_config.json`` into a folder; `push_to_hub` uploads it, with `kwargs`.

        Raises `GenerationError` for settings that cannot be or that have no effect: such a file
        would mislead its readers.
        """
        self._refuse_invalid()
        folder = Path(save_directory)
        if folder.is_file():
            raise GenerationError(
                f"cannot save generation settings: {folder} is a file, give a folder"
            )
        folder.mkdir(parents=True, exist_ok=True)
        name = os.fspath(config_file_name or GENERATION_CONFIG_NAME)
        self.to_json_file(folder / name)
        if push_to_hub:
            self._upload_folder(folder, [name], **kwargs)

    def _refuse_invalid(self) -> None:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self.validate()
        if caught:
            problems = "; ".join(str(entry.message) for entry in caught)
            raise GenerationError(
                f"these generation settings cannot be saved: {problems}. "
                "Fix these issues to save them"
            )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GenerationConfig):
            return False
        return self.to_json_string(False, True) == other.to_json_string(False, True)

    def __hash__(self) -> int:
        return hash(self.to_json_string(ignore_metadata=True))

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.to_json_string(ignore_metadata=True)}"


DEFAULTS: dict[str, Any] = {
    name: getattr(GenerationConfig, name) for name in GenerationConfig.__annotations__
}
METADATA = ("_from_model_config", "_commit_hash", "transformers_version")
PRIVATE = ("_commit_hash", "_original_object_hash")


def end_tokens(config: GenerationConfig) -> tuple[int, ...]:
    """The tokens that end a text; a negative one, as some set to switch ends off, is none."""
    return tuple(token for token in token_tuple(config.eos_token_id) if token >= 0)


def _differs(value: Any, default: Any) -> bool:
    """Whether a setting was set: None and the default count as left alone."""
    return value is not None and value != default


def _plain(value: Any) -> Any:
    """JSON can write this: tuple keys (`sequence_bias`) as pairs, tensors and arrays as lists,
    objects by their `to_dict`.
    """
    if isinstance(value, Mapping):
        if any(not isinstance(key, str) for key in value):
            return [
                [_plain(list(key) if isinstance(key, tuple) else key), _plain(item)]
                for key, item in value.items()
            ]
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, str):
        return value
    for method in ("to_dict", "tolist"):
        if hasattr(value, method):
            return _plain(getattr(value, method)())
    return [_plain(item) for item in value] if isinstance(value, Iterable) else value

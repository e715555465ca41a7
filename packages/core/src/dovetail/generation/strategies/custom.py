"""Loops that callers bring along: a function in place of a strategy, or the code of a repository in
place of all of ``generate``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from dovetail import hub, registry
from dovetail.dynamic import get_class_from_dynamic_module, resolve_trust_remote_code
from dovetail.errors import GenerationError
from dovetail.generation.configuration import GenerationConfig
from dovetail.generation.decoding import Decoding
from dovetail.generation.inputs import parameters
from dovetail.generation.strategies import Strategy
from dovetail.outputs import ModelOutput

FOLDER, FILE, FUNCTION = "custom_generate", "generate.py", "generate"
HANDED = (
    "model", "input_ids", "logits_processor", "stopping_criteria", "generation_config",
    "streamer", "synced_gpus",
)  # fmt: skip
"""Arguments that a function gets from ``generate``; those further ones that it names are its
own."""
WHERE = ("revision", "code_revision", "cache_dir", "force_download", "local_files_only", "token")


class CustomLoop(Strategy):
    """A function as a strategy: called with the model, the token ids (B, T), and by name
    ``logits_processor``, ``stopping_criteria``, ``generation_config`` and the arguments of the
    first forward pass; what it returns is returned. It gets ``streamer`` and ``synced_gpus`` when
    it names them.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.takes = parameters(function)
        self.arguments = tuple(self.takes - set(HANDED))  # type: ignore[misc] # of this function
        self.streams = "streamer" in self.takes  # type: ignore[misc]

    def check(
        self, config: GenerationConfig, arguments: Mapping[str, Any], streamer: Any = None
    ) -> None:
        """As of every strategy, by what the function says it takes."""
        if streamer is not None and not self.streams:
            raise GenerationError(
                f"custom_generate={self.function!r} has no argument streamer: give it one, or pass "
                "no streamer"
            )
        super().check(config, arguments, streamer)

    def rows_per_prompt(self, config: GenerationConfig) -> int:
        """As many as beams, or as returned sequences."""
        return max(config.num_beams, config.num_return_sequences)

    def run(self, decoding: Decoding) -> ModelOutput | Tensor:
        """Call the function."""
        optional = {"streamer": decoding.streamer, "synced_gpus": decoding.synced_gpus}
        given = {name: value for name, value in optional.items() if name in self.takes}
        own = {
            name: value
            for name, value in decoding.arguments.items()
            if name in self.arguments and value is not None
        }
        return self.function(
            decoding.model,
            decoding.ids.clone(),
            logits_processor=decoding.processors,
            stopping_criteria=decoding.stopping,
            generation_config=decoding.config,
            **given,
            **{**decoding.model_kwargs, **own},
        )


def load_custom_generate(
    source: Any, trust_remote_code: bool | None = None, **where: Any
) -> Callable[..., Any]:
    """The function ``generate`` of ``custom_generate/generate.py`` in a folder or a Hub repository;
    its code is run. `where` are ``revision`` and its like.

    Raises:
        RemoteCodeError: the caller has not consented, or the code fails to import.
        HubError: there is no such file.
    """
    place = {name: value for name, value in where.items() if name != "code_revision"}
    hub.cached_file(source, FILE, subfolder=FOLDER, **place)
    resolve_trust_remote_code(trust_remote_code, str(source), False, True)
    return get_class_from_dynamic_module(f"generate.{FUNCTION}", source, subfolder=FOLDER, **where)


def repository_loop(name: Any, kwargs: dict[str, Any]) -> Callable[..., Any] | None:
    """What to call in place of ``generate`` when `name` is no registered strategy but a folder or
    repository; takes the arguments for that from `kwargs`. None when `name` is anything else.

    Raises as `load_custom_generate`.
    """
    if not isinstance(name, str) or name in registry.strategies().names():
        return None
    if "/" not in name and "trust_remote_code" not in kwargs:
        return None  # rather a strategy that nobody provides
    where = {key: kwargs.pop(key) for key in WHERE if key in kwargs}
    function = load_custom_generate(name, kwargs.pop("trust_remote_code", None), **where)
    takes = parameters(function)
    anything = any(
        entry.kind is inspect.Parameter.VAR_KEYWORD
        for entry in inspect.signature(function).parameters.values()
    )

    def call(model: Any, **given: Any) -> Any:
        wanted = {key: value for key, value in given.items() if key in takes or value is not None}
        if (unknown := wanted.keys() - takes) and not anything:
            raise GenerationError(
                f"custom_generate={name!r} takes no {', '.join(sorted(unknown))}: its arguments "
                f"are {', '.join(sorted(takes))}"
            )
        return function(model=model, **wanted)

    return call

"""`AutoConfig`: the config class that a checkpoint's ``model_type`` asks for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dovetail import registry
from dovetail.auto.mapping import ConfigMapping, ConfigNames, ModelNames
from dovetail.auto.remote import RemoteCode
from dovetail.configs import PretrainedConfig
from dovetail.declarations import ModelDeclaration
from dovetail.errors import ConfigError, PluginConflictError, near_matches
from dovetail.logging import get_logger

logger = get_logger("dovetail.auto")

CONFIG_MAPPING = ConfigMapping()
CONFIG_MAPPING_NAMES = ConfigNames()
MODEL_NAMES_MAPPING = ModelNames()


class AutoConfig:
    """Picks the config class of an architecture; never instantiated itself."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise OSError(
            "AutoConfig is no config itself: use AutoConfig.from_pretrained(name_or_folder) or "
            "AutoConfig.for_model(model_type)."
        )

    @classmethod
    def for_model(cls, model_type: str, *args: Any, **kwargs: Any) -> Any:
        """A config of an architecture from its settings.

        Raises:
            UnknownNameError: no installed package knows the model type.
        """
        return registry.models().load(model_type)(*args, **kwargs)

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any
    ) -> Any:
        """The config in a folder, a JSON file or a Hub repository; `kwargs` replace its values.

        `trust_remote_code` (off by default) allows a repository's own config class to be run. With
        ``return_unused_kwargs=True`` the result is the config and the arguments that name no key.

        Raises:
            HubError: there is no such file.
            ConfigError: it names no model type.
            UnknownNameError: no installed package knows its model type.
        """
        remote = RemoteCode.take(kwargs)
        where = {name: kwargs[name] for name in RemoteCode.FETCHING if name in kwargs}
        source = pretrained_model_name_or_path
        values, unused = PretrainedConfig.get_config_dict(source, **kwargs)
        model_type = values.get("model_type")
        local = isinstance(model_type, str) and model_type in registry.models()
        own = remote.find(
            "AutoConfig",
            values.get("auto_map"),
            source,
            local=local,
            commit_hash=values.get("_commit_hash"),
            **where,
        )
        if own is not None:
            return own.from_pretrained(source, **kwargs)
        return _config_class(model_type, source).from_dict(values, **unused)

    @staticmethod
    def register(model_type: str, config: type[PretrainedConfig], exist_ok: bool = False) -> None:
        """Add an architecture's config class in this process.

        Raises:
            ConfigError: the class names another model type.
            PluginConflictError: the model type is taken and `exist_ok` is False.
        """
        own = getattr(config, "model_type", "")
        if own != model_type:
            raise ConfigError(
                f"{config.__name__}.model_type is {own!r} and it is registered as {model_type!r}. "
                "Make them equal."
            )
        known = registry.models()
        if model_type in known and not exist_ok:
            holders = ", ".join(map(str, known.providers(model_type)))
            raise PluginConflictError(
                f"The model type {model_type!r} is already provided by {holders}. "
                "Pass exist_ok=True to replace its config class in this process."
            )
        old = known.get(model_type) if model_type in known else ModelDeclaration(model_type, "")
        known.add(replace(old, config=config), exist_ok=True)  # type: ignore[arg-type]


def _config_class(model_type: Any, source: Any) -> type[PretrainedConfig]:
    known = registry.models()
    if isinstance(model_type, str) and model_type:
        return known.load(model_type)
    # Files of before 2020 name no type; the name of the checkpoint then tells.
    name = os.path.basename(os.fspath(source).rstrip("/")).lower()
    fitting = [model_type for model_type in known.names() if model_type in name]
    if not fitting:
        raise ConfigError(
            f"The config of {source} has no model_type ({model_type!r}), so its architecture is "
            f'unknown.{near_matches(name, known.names())} Add "model_type" to it, or load it with '
            "the config class of its architecture."
        )
    guessed = max(fitting, key=len)
    logger.warning(
        "The config of %s has no model_type; taken for %r because of its name.", source, guessed
    )
    return known.load(guessed)


def config_for(source: Any, given: Any, **kwargs: Any) -> Any:
    """`given` if it is a config, else the one at the path `given`, or that of `source`."""
    if isinstance(given, PretrainedConfig):
        return given
    return AutoConfig.from_pretrained(source if given is None else given, **kwargs)


def auto_map_of(values: Any) -> Mapping[str, Any] | None:
    """The ``auto_map`` of a config or JSON object."""
    found = (
        values.get("auto_map") if isinstance(values, Mapping) else getattr(values, "auto_map", None)
    )
    return found if isinstance(found, Mapping) else None

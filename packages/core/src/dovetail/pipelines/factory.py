"""`pipeline`: from a task, a model or both to a ready `Pipeline`."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

import dovetail
from dovetail import logging, registry
from dovetail.auto.mapping import pick
from dovetail.configs import PretrainedConfig
from dovetail.declarations import PipelineDeclaration
from dovetail.errors import PipelineError
from dovetail.load_options import LoadOptions
from dovetail.pipelines.registry import Task, find_task, get_task, task_of_architecture

if TYPE_CHECKING:
    from dovetail.pipelines.base import Pipeline

logger = logging.get_logger(__name__)

LOCATION = ("cache_dir", "force_download", "local_files_only", "subfolder")
"""The entries of `model_kwargs` that also say where the config, the tokenizer and the processors
are."""

AUTO_CLASSES = {
    "tokenizer": "AutoTokenizer",
    "feature_extractor": "AutoFeatureExtractor",
    "image_processor": "AutoImageProcessor",
    "processor": "AutoProcessor",
}
"""Part of a pipeline to the auto class that loads it."""

UNUSED_PARTS = {
    "text": ("feature_extractor", "image_processor"),
    "image": ("tokenizer",),
    "audio": ("tokenizer", "image_processor"),
    "video": ("tokenizer",),
}
"""Kind of input to the parts that such a task never has."""


def pipeline(
    task: str | None = None,
    model: Any = None,
    config: str | PretrainedConfig | None = None,
    tokenizer: Any = None,
    feature_extractor: Any = None,
    image_processor: Any = None,
    processor: Any = None,
    framework: str | None = None,
    revision: str | None = None,
    use_fast: bool = True,
    token: str | bool | None = None,
    device: int | str | torch.device | None = None,
    device_map: Any = None,
    torch_dtype: str | torch.dtype | None = None,
    trust_remote_code: bool | None = None,
    model_kwargs: dict[str, Any] | None = None,
    pipeline_class: type[Pipeline] | None = None,
    **kwargs: Any,
) -> Pipeline:
    """Make a pipeline.

    Without `task` it follows from the model; without `model` the task's default one is used.
    `model`, `config`, `tokenizer`, `feature_extractor`, `image_processor` and `processor` are
    objects, folders or Hub ids; a part that is left out is loaded from the model's folder where
    the task and the model have one. `model_kwargs` go to the model's ``from_pretrained``, `kwargs`
    to the pipeline's class.

    >>> pipe = pipeline("text-classification", model="folder-or-hub-id")  # doctest: +SKIP

    Raises:
        RuntimeError: neither task nor model is given, or a tokenizer without a model.
        UnknownNameError: there is no such task; the message lists near matches.
        MissingPluginError: the task or the model belongs to a package that is not installed.
        PipelineError: arguments that contradict each other.
    """
    parts = {
        "tokenizer": tokenizer,
        "feature_extractor": feature_extractor,
        "image_processor": image_processor,
        "processor": processor,
    }
    _check_given(task, model, parts)
    _check_placement(framework, device, device_map, torch_dtype, model_kwargs or {})
    model = str(model) if isinstance(model, Path) else model
    source = _Source(
        revision,
        _token(token, kwargs.pop("use_auth_token", None)),
        trust_remote_code,
        kwargs.pop("code_revision", None),
        use_fast,
        dict(model_kwargs or {}),
    )
    if device_map is not None:
        source.model_kwargs["device_map"] = device_map
    config = source.load_config(config, model)
    chosen = _choose(task, model, config, source, pipeline_class)
    if model is None:
        model, source.revision = _default_model(chosen, source.revision)
        config = source.load_config(config, model)
    name = _folder(model, config)
    if isinstance(model, str):
        if torch_dtype is not None:
            source.model_kwargs["torch_dtype"] = torch_dtype
        model = source.load_model(model, config, chosen)
    elif torch_dtype is not None:
        kwargs["torch_dtype"] = torch_dtype
    loaded = source.load_parts(parts, name, getattr(model, "config", config), chosen)
    return chosen.implementation(
        model=model,
        framework="pt",
        task=_specific_task(chosen.name, getattr(model, "config", None)),
        device=device,
        **loaded,
        **kwargs,
    )


@dataclass
class _Choice:
    """What is to be made: the name asked for, the class, and the task it belongs to (None for a
    class nobody registered)."""

    name: str
    implementation: type[Pipeline]
    task: Task | None

    @property
    def inputs(self) -> str:
        return "multimodal" if self.task is None else self.task.declaration.inputs


@dataclass
class _Source:
    """Where everything is loaded from, and how."""

    revision: str | None
    token: str | bool | None
    trust_remote_code: bool | None
    code_revision: str | None
    use_fast: bool
    model_kwargs: dict[str, Any]

    @property
    def _hub(self) -> dict[str, Any]:
        names = ("revision", "token", "trust_remote_code", "code_revision")
        given = {name: getattr(self, name) for name in names}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def _location(self) -> dict[str, Any]:
        return {name: self.model_kwargs[name] for name in LOCATION if name in self.model_kwargs}

    def load_config(self, config: Any, model: Any) -> Any:
        """The config given, named, or belonging to the model; None as long as there is no model.

        A config that is loaded takes the entries of `model_kwargs` that are its own.
        """
        name = config if isinstance(config, str) else model
        if config is not None and not isinstance(config, str):
            return config
        if not isinstance(name, str):
            return getattr(model, "config", None)
        _, settings = LoadOptions.take(self.model_kwargs)
        loaded, unused = dovetail.AutoConfig.from_pretrained(
            name, **self._hub, **self._location, **settings, return_unused_kwargs=True
        )
        for setting in set(settings) - set(unused):
            del self.model_kwargs[setting]
        return loaded

    def load_model(self, name: str, config: Any, chosen: _Choice) -> Any:
        """The model `name` through the first class of the task that takes its config."""
        classes = () if chosen.task is None else chosen.task.model_classes
        classes = classes or tuple(_architectures(config))
        if not classes:
            raise PipelineError(
                f"{name}: nothing says which class loads the model, neither the task "
                f"{chosen.name!r} nor the `architectures` of its config.json. Load it yourself and "
                "pass the model."
            )
        chosen_class = next((cls for cls in classes if _takes(cls, config)), classes[0])
        return chosen_class.from_pretrained(name, config=config, **self._hub, **self.model_kwargs)

    def load_parts(
        self, parts: dict[str, Any], name: str, config: Any, chosen: _Choice
    ) -> dict[str, Any]:
        """Tokenizer and processors: those given, loaded where named, and the others that task and
        model have."""
        unused = UNUSED_PARTS.get(chosen.inputs, ())
        loaded = {}
        for part, given in parts.items():
            wanted = getattr(chosen.implementation, f"_load_{part}") and part not in unused
            if given is None and wanted and _has_part(part, config):
                given = name or _nameless(part, chosen.name)
            if isinstance(given, str | Path | tuple):
                given = self._load_part(part, given)
            if given is not None:
                loaded[part] = given
        return loaded

    def _load_part(self, part: str, given: str | Path | tuple[str, dict[str, Any]]) -> Any:
        name, options = given if isinstance(given, tuple) else (str(given), {})
        if part == "tokenizer":
            options = {"use_fast": self.use_fast, **options}
        auto_class = getattr(dovetail, AUTO_CLASSES[part])
        return auto_class.from_pretrained(name, **self._hub, **self._location, **options)


def _check_given(task: str | None, model: Any, parts: dict[str, Any]) -> None:
    if model is not None:
        return
    if task is None:
        raise RuntimeError("pipeline() needs a task or a model: neither was given.")
    for part in ("tokenizer", "feature_extractor"):
        if parts[part] is not None:
            raise RuntimeError(
                f"pipeline() was given a {part} but no model; the default model of the task may "
                "not fit it. Name the model too."
            )


def _token(token: str | bool | None, use_auth_token: str | bool | None) -> str | bool | None:
    """The token, under its name of today or its retired one."""
    if use_auth_token is None:
        return token
    warnings.warn("use_auth_token is deprecated: write token.", FutureWarning, stacklevel=3)
    if token is not None:
        raise PipelineError("token and use_auth_token are the same argument: give token alone.")
    return use_auth_token


def _check_placement(
    framework: str | None,
    device: Any,
    device_map: Any,
    torch_dtype: Any,
    model_kwargs: dict[str, Any],
) -> None:
    if framework not in (None, "pt"):
        raise PipelineError(f"framework={framework!r}: Dovetail runs PyTorch models only ('pt').")
    for name, value in (("device_map", device_map), ("torch_dtype", torch_dtype)):
        if value is not None and name in model_kwargs:
            raise PipelineError(
                f"{name}={value!r} was given, and also inside model_kwargs: give it once."
            )
    if device is not None and device_map is not None:
        raise PipelineError(
            f"device={device!r} and device_map={device_map!r} exclude each other: the map alone "
            "says where the model goes."
        )


def _choose(
    name: str | None,
    model: Any,
    config: Any,
    source: _Source,
    pipeline_class: type[Pipeline] | None,
) -> _Choice:
    """The task and the class, from what the caller, the model's config and the registry say."""
    custom = getattr(config, "custom_pipelines", None) or {}
    if name is None and len(custom) == 1:
        name = next(iter(custom))
    if name is None:
        name = _infer_task(model, config, source)
    if pipeline_class is None and name in custom and name not in registry.pipelines():
        return _remote_choice(name, custom[name], _folder(model, config), source)
    if (
        pipeline_class is not None
        and name not in registry.pipelines()
        and not name.startswith("translation_")
    ):
        return _Choice(name, pipeline_class, None)
    task = find_task(name)
    return _Choice(name, pipeline_class or task.pipeline_class, task)


def _infer_task(model: Any, config: Any, source: _Source) -> str:
    if isinstance(model, str):
        return get_task(model, token=source.token)
    task = task_of_architecture(getattr(config, "model_type", ""), type(model).__name__)
    if task is None:
        raise RuntimeError(
            f"The task of a {type(model).__name__} is not known: name it, pipeline(task, "
            "model=...)."
        )
    return task


def _folder(model: Any, config: Any) -> str:
    """Where a checkpoint is: what was asked for, or what its config remembers."""
    return model if isinstance(model, str) else getattr(config, "name_or_path", "")


def _remote_choice(name: str, entry: dict[str, Any], folder: str, source: _Source) -> _Choice:
    """A task whose class lies beside the checkpoint: run only with the caller's consent."""
    from dovetail.dynamic import get_class_from_dynamic_module, resolve_trust_remote_code

    resolve_trust_remote_code(source.trust_remote_code, folder, False, True)
    implementation = get_class_from_dynamic_module(
        entry["impl"],
        folder,
        revision=source.revision,
        code_revision=source.code_revision,
        token=source.token,
    )
    declaration = PipelineDeclaration(
        name,
        pipeline=implementation,
        auto_models=tuple(entry.get("pt", ())),
        inputs=entry.get("type", "multimodal"),
    )
    return _Choice(name, implementation, Task(declaration))


def _default_model(chosen: _Choice, revision: str | None) -> tuple[str, str | None]:
    """Id and revision of the model that stands in when none is named, with a warning that it was
    chosen so."""
    languages = getattr(chosen.implementation, "default_languages", None)
    pair = None if chosen.task is None else chosen.task.languages
    if languages is not None and pair not in languages:
        known = ", ".join(f"translation_{a}_to_{b}" for a, b in languages)
        raise PipelineError(
            f"The task {chosen.name!r} has no default model: name a model, or use one of {known}."
        )
    default = None if chosen.task is None else chosen.task.default_model
    if default is None:
        raise PipelineError(
            f"The task {chosen.name!r} has no default model: pipeline({chosen.name!r}, model=...)."
        )
    name, pinned = default
    logger.warning(
        "No model was named for %r: %s (revision %s) is used. Name model and revision in "
        "anything that is to last.",
        chosen.name,
        name,
        revision or pinned,
    )
    return name, revision or pinned


def _takes(cls: Any, config: Any) -> bool:
    """Whether an auto class (or a model class) is made for this config."""
    if cls.__name__.startswith("Auto"):
        return pick(cls.__name__, type(config)) is not None
    wanted = getattr(cls, "config_class", None)
    return wanted is None or isinstance(config, wanted)


def _architectures(config: Any) -> list[Any]:
    """The public classes that the checkpoint's config names."""
    names = getattr(config, "architectures", None) or []
    return [getattr(dovetail, name) for name in names if hasattr(dovetail, name)]


def _has_part(part: str, config: Any) -> bool:
    """Whether checkpoints of this kind, or of a half of it, come with such a part."""
    if part == "tokenizer" and getattr(config, "tokenizer_class", None):
        return True
    kinds = [config, *(getattr(config, half, None) for half in ("encoder", "decoder"))]
    return any(
        isinstance(kind, PretrainedConfig) and pick(part, type(kind)) is not None for kind in kinds
    )


def _nameless(part: str, task: str) -> str:
    raise PipelineError(
        f"The {task!r} pipeline needs a {part}, and the model does not say where it was loaded "
        f"from: pass {part}=..."
    )


def _specific_task(name: str, config: Any) -> str:
    """``translation`` becomes the first pair of languages that the model's
    ``task_specific_params`` know."""
    if name != "translation":
        return name
    for known in getattr(config, "task_specific_params", None) or {}:
        if known.startswith("translation"):
            warnings.warn(
                f"'translation' says no languages: {known!r} is used, the first that this model "
                "knows. Name the pair.",
                UserWarning,
                stacklevel=3,
            )
            return known
    return name

"""Tasks by name: what the plugins declare and what this process adds, in the form the field's code
knows."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dovetail
from dovetail import registry
from dovetail.declarations import PipelineDeclaration
from dovetail.errors import HubError, PipelineError

if TYPE_CHECKING:
    from dovetail.pipelines.base import Pipeline

TRANSLATION = re.compile(r"translation_([^_]+)_to_([^_]+)")

PREFERRED_TASKS = {
    "AutoModel": "feature-extraction",
    "AutoModelForSeq2SeqLM": "text2text-generation",
    "AutoModelForSequenceClassification": "text-classification",
}
"""The task of a model when several tasks use its auto class."""


@dataclass(frozen=True)
class Task:
    """A task as asked for: the declaration that holds it and, for translations, the pair of
    languages."""

    declaration: PipelineDeclaration
    languages: tuple[str, str] | None = None

    @property
    def name(self) -> str:
        """The task's own name, whichever alias was used."""
        return self.declaration.task

    @property
    def pipeline_class(self) -> type[Pipeline]:
        """The class, imported now."""
        return registry.pipelines().load(self.name)

    @property
    def model_classes(self) -> tuple[Any, ...]:
        """Auto classes (or, for tasks registered in this process, model classes) to load a model
        with, in order."""
        classes = self.declaration.auto_models
        return tuple(getattr(dovetail, cls) if isinstance(cls, str) else cls for cls in classes)

    @property
    def default_model(self) -> tuple[str, str | None] | None:
        """Hub id and revision of the model used when none is named."""
        if self.declaration.default_model is None:
            return None
        repository, _, revision = self.declaration.default_model.partition("@")
        return repository, revision or None

    def to_dict(self) -> dict[str, Any]:
        """The entry of this task in the form that `PipelineRegistry.check_task` returns."""
        entry: dict[str, Any] = {
            "impl": self.pipeline_class,
            "tf": (),
            "pt": self.model_classes,
            "type": self.declaration.inputs,
        }
        if self.default_model is not None:
            entry["default"] = {"model": {"pt": self.default_model}}
        return entry


def find_task(name: str) -> Task:
    """The task called `name`, an alias of one, or ``translation_XX_to_YY``.

    Raises:
        UnknownNameError: no such task; the message lists near matches.
        MissingPluginError: the task belongs to a package that is not installed.
    """
    languages = TRANSLATION.fullmatch(name)
    if languages and name not in registry.pipelines():
        return Task(registry.pipelines().get("translation"), (languages[1], languages[2]))
    return Task(registry.pipelines().get(name))


class PipelineRegistry:
    """The tasks that `pipeline` knows, as a view of `dovetail.registry.pipelines`."""

    @property
    def supported_tasks(self) -> dict[str, dict[str, Any]]:
        """Task to its entry; reading one imports its pipeline."""
        return self.to_dict()

    @property
    def task_aliases(self) -> dict[str, str]:
        """Alias to task."""
        declarations = registry.pipelines().declarations()
        return {alias: item.task for item in declarations for alias in item.aliases}

    def get_supported_tasks(self) -> list[str]:
        """All tasks and aliases, sorted."""
        return registry.pipelines().names()

    def check_task(self, task: str) -> tuple[str, dict[str, Any], Any]:
        """(the task's own name, its entry, the pair of languages of a translation or None)."""
        found = find_task(task)
        return found.name, found.to_dict(), found.languages

    def register_pipeline(
        self,
        task: str,
        pipeline_class: type[Pipeline],
        pt_model: Any = None,
        tf_model: Any = None,
        default: Mapping[str, Any] | None = None,
        type: str | None = None,
    ) -> None:
        """Add a task in this process, ahead of any plugin that has it.

        `pt_model` is the class, or the tuple of classes, to load models with. `default` is
        ``{"pt": (id, revision)}``, with or without ``"model"`` around it. `tf_model` is there for
        callers' sake and not used.
        """
        if pt_model is None:
            models: tuple[Any, ...] = ()
        else:
            models = tuple(pt_model) if isinstance(pt_model, tuple | list) else (pt_model,)
        declaration = PipelineDeclaration(
            task,
            pipeline=pipeline_class,  # type: ignore[arg-type]
            auto_models=models,
            inputs=type or "text",
            default_model=_default_id(default),
        )
        registry.pipelines().add(declaration, exist_ok=True)
        registered = dict(getattr(pipeline_class, "_registered_impl", {}))
        pipeline_class._registered_impl = {**registered, task: declaration}  # type: ignore[attr-defined]

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Every task with its entry."""
        return {item.task: Task(item).to_dict() for item in registry.pipelines().declarations()}


PIPELINE_REGISTRY = PipelineRegistry()


def get_supported_tasks() -> list[str]:
    """All tasks and aliases, sorted."""
    return PIPELINE_REGISTRY.get_supported_tasks()


def check_task(task: str) -> tuple[str, dict[str, Any], Any]:
    """`PipelineRegistry.check_task` of the one registry."""
    return PIPELINE_REGISTRY.check_task(task)


def _default_id(default: Mapping[str, Any] | None) -> str | None:
    if default is None:
        return None
    model = default.get("model", default)
    model = model.get("pt", model) if isinstance(model, Mapping) else model
    if isinstance(model, str):
        return model
    if isinstance(model, tuple | list) and len(model) == 2:
        return f"{model[0]}@{model[1]}"
    raise PipelineError(f'default={default!r}: write {{"pt": ("hub-id", "revision")}}.')


def get_task(model: str, token: bool | str | None = None, **hub_kwargs: Any) -> str:
    """The task a checkpoint is for: by the architecture in a local folder's config, else by what
    the Hub says.

    Raises:
        RuntimeError: neither tells.
    """
    if Path(model).is_dir():
        return _task_of_folder(Path(model))
    from huggingface_hub import HfApi, constants

    if constants.HF_HUB_OFFLINE:
        raise RuntimeError(
            f"The task of {model!r} cannot be looked up, for the Hub is switched off "
            "(HF_HUB_OFFLINE). Name it: pipeline(task, model=...)."
        )
    try:
        api = HfApi(library_name="dovetail", token=token)
        tag = api.model_info(model, **hub_kwargs).pipeline_tag
    except Exception as error:
        raise RuntimeError(
            f"The task of {model!r} could not be looked up on the Hub: {error}. Name it: "
            "pipeline(task, model=...)."
        ) from error
    if not tag:
        raise RuntimeError(
            f"The Hub does not say which task {model!r} is for. Name it: pipeline(task, model=...)."
        )
    return tag


def _task_of_folder(folder: Path) -> str:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise HubError(
            f"{folder} holds no readable config.json ({error}): it is no model's folder."
        ) from error
    architectures = config.get("architectures") or []
    for architecture in architectures:
        task = task_of_architecture(config.get("model_type", ""), architecture)
        if task is not None:
            return task
    raise RuntimeError(
        f"No task is known for the architectures {architectures} that {folder / 'config.json'} "
        "names. Name one: pipeline(task, model=...)."
    )


def task_of_architecture(model_type: str, architecture: str) -> str | None:
    """The task whose auto class picks `architecture`; ``AutoModel`` counts when no other does."""
    models, tasks = registry.models(), registry.pipelines().declarations()
    auto = models.get(model_type).auto if model_type in models else {}
    used = {name for task in tasks for name in task.auto_models if isinstance(name, str)}
    picked = {name for name in used & set(auto) if _class_name(auto[name]) == architecture}
    picked = picked - {"AutoModel"} or picked
    preferred = {PREFERRED_TASKS[name] for name in picked if name in PREFERRED_TASKS}
    fitting = [task.task for task in tasks if picked & set(task.auto_models)]
    return min(fitting, key=lambda task: task not in preferred, default=None)


def _class_name(target: Any) -> str:
    return target.partition(":")[2] if isinstance(target, str) else target.__name__


def record_custom_tasks(pipe: Pipeline, folder: Path) -> None:
    """Write the tasks that `PipelineRegistry.register_pipeline` gave this class into the model's
    config.

    ``pipeline(task, folder, trust_remote_code=True)`` then finds the class; its module is copied
    into `folder`.
    """
    registered: Mapping[str, PipelineDeclaration] = vars(type(pipe)).get("_registered_impl", {})
    if not registered:
        return
    from dovetail.dynamic import copy_module

    module = copy_module(type(pipe), folder)
    pipe.model.config.custom_pipelines = {
        task: {
            "impl": f"{module}.{type(pipe).__name__}",
            "pt": [getattr(cls, "__name__", cls) for cls in item.auto_models],
            "tf": [],
            "type": item.inputs,
        }
        for task, item in registered.items()
    }

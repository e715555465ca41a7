"""No declared class goes unchecked: each has golden files and is under the conformance kit."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dovetail import registry
from dovetail.declarations import ModelDeclaration
from dovetail.modeling import PreTrainedModel
from dovetail.testing.golden import Golden, golden_files
from dovetail.testing.subject import Subject

TESTS = Path(__file__).parent
ROOT = TESTS.parent
PARTS = ("PreTrainedModel", "Stack", "Encoder", "Decoder", "Transformer", "Wrapper")
DECLARED = {
    name: registry.models().get(name)
    for name in registry.models().names()
    if registry.models().get(name).config.startswith("dovetail_models_")
}


def package(model_type: str) -> str:
    """The folder of tests of the package that declares `model_type`."""
    return DECLARED[model_type].config.partition(".")[0].removeprefix("dovetail_")


def golden_folder(model_type: str) -> Path:
    """Where the golden files of `model_type` are."""
    return TESTS / "golden" / package(model_type).replace("_", "-") / model_type


def class_names(declaration: ModelDeclaration) -> set[str]:
    """The complete models that `declaration` names."""
    targets = {*declaration.auto.values(), *declaration.models}
    return {value.__name__ for value in map(registry.resolve, targets) if is_model(value)}


def is_model(value: Any) -> bool:
    """Whether `value` is a class of models, not a family's base class or a part of a model."""
    is_class = isinstance(value, type) and issubclass(value, PreTrainedModel)
    return is_class and not value.__name__.endswith(PARTS)


def load(path: Path) -> ModuleType:
    """The module at `path`."""
    name = f"covered_{path.stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.modules[name] = module
    return sys.modules[name]


def subjects(model_type: str) -> Iterator[type[Subject]]:
    """The classes of the kit that the family's test file defines."""
    name = f"test_{model_type.replace('-', '_')}.py"
    for value in vars(load(TESTS / package(model_type) / name)).values():
        if isinstance(value, type) and issubclass(value, Subject) and hasattr(value, "sizes"):
            yield value


@pytest.mark.parametrize("model_type", DECLARED)
def test_each_declared_class_has_golden_files(model_type: str):
    folder = golden_folder(model_type)
    recorded = {Golden.read(path).content["model"] for path in golden_files(folder)}
    assert class_names(DECLARED[model_type]) <= recorded
    assert (folder / "config.json").exists()


@pytest.mark.parametrize("model_type", DECLARED)
def test_each_declared_class_is_under_the_kit(model_type: str):
    tested = {one.__name__ for subject in subjects(model_type) for one in subject.model_classes}
    assert class_names(DECLARED[model_type]) <= tested


def test_golden_folders_belong_to_declared_models():
    folders = set((TESTS / "golden").glob("models-*/*"))
    assert folders <= {golden_folder(model_type) for model_type in DECLARED}


@pytest.mark.parametrize("model_type", DECLARED)
def test_each_public_class_of_a_model_file_is_declared(model_type: str):
    declaration = DECLARED[model_type]
    module = sys.modules[registry.resolve(next(iter(declaration.auto.values()))).__module__]
    own = [value for value in vars(module).values() if is_model(value)]
    bases = {base for value in own for base in value.__bases__}
    leaves = {value.__name__ for value in own if value.__module__ == module.__name__} - {
        base.__name__ for base in bases if base.__name__ not in class_names(declaration)
    }
    targets = map(registry.resolve, (*declaration.auto.values(), *declaration.models))
    elsewhere = {value.__name__ for value in targets if value.__module__ != module.__name__}
    assert leaves == class_names(declaration) - elsewhere


def described() -> dict[str, Any]:
    """The families as `scripts/golden` describes them."""
    folder = ROOT / "scripts" / "golden"
    sys.path.insert(0, str(folder))
    try:
        families = [load(path).family for path in sorted((folder / "families").glob("*.py"))]
        return {family.model_type: family for family in families}
    finally:
        sys.path.remove(str(folder))


DESCRIBED = described()


@pytest.mark.parametrize("model_type", DESCRIBED)
def test_golden_files_are_what_their_description_says(model_type: str):
    family = DESCRIBED[model_type]
    files = {
        path.stem: Golden.read(path).content for path in golden_files(golden_folder(model_type))
    }
    assert set(files) == {case.name for case in family.cases}
    for case in family.cases:
        content = files[case.name]
        assert content["model"] == case.model
        assert [call["name"] for call in content["calls"]] == [call.name for call in case.calls]
        assert [call["steps"] for call in content["calls"]] == [call.steps for call in case.calls]

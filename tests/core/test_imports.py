"""What importing costs and brings, and who may import whom."""

from __future__ import annotations

import ast
import pickle
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import dovetail
from dovetail.names import CORE_NAMES, core_modules, known_names

PACKAGES = Path(__file__).parents[2] / "packages"
CORE = PACKAGES / "core" / "src" / "dovetail"
MAY_IMPORT = {
    "dovetail": set(),
    "dovetail_models_text": {"dovetail"},
    "dovetail_models_vision": {"dovetail", "dovetail_models_text"},
    "dovetail_models_audio": {"dovetail", "dovetail_models_text"},
    "dovetail_quantizers": {"dovetail"},
    "dovetail_agents": {"dovetail"},
    "dovetail_training": {"dovetail"},
}
LIGHT = [
    "builtin",
    "cli",
    "configs",
    "declarations",
    "discovery",
    "errors",
    "hookspecs",
    "hub",
    "logging",
    "namespace",
    "plugins",
    "registry",
    "tokenizers",
]


def python(code: str, *options: str) -> str:
    command = [sys.executable, *options, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


# Cost


def test_import_is_quick_and_loads_no_torch():
    code = (
        "import sys, time; start = time.process_time(); import dovetail;"
        "print(time.process_time() - start, 'torch' in sys.modules, 'numpy' in sys.modules)"
    )
    runs = [python(code).split() for _ in range(3)]
    assert all(heavy == ["False", "False"] for _, *heavy in runs)
    assert min(float(seconds) for seconds, *_ in runs) < 0.1


@pytest.mark.parametrize("module", LIGHT)
def test_light_modules_load_no_torch(module):
    assert python(f"import sys, dovetail.{module}; print('torch' in sys.modules)") == "False"


def test_names_and_configs_load_no_torch():
    code = (
        "import sys, dovetail; dir(dovetail); dovetail.AutoConfig; from dovetail import registry;"
        "[registry.models().load(name) for name in registry.models()];"
        "print('torch' in sys.modules)"
    )
    assert python(code) == "False"


# Names


def test_every_name_of_the_core_can_be_imported():
    for name, module in core_modules().items():
        value = getattr(dovetail, name)
        assert value is getattr(sys.modules[module], name)
        assert name in dir(dovetail)
    assert dovetail.__all__ == sorted(core_modules())


def test_the_tables_of_names_do_not_contradict_each_other():
    names = [name for group in CORE_NAMES.values() for name in group]
    assert len(names) == len(set(names)), "a name is listed under two modules"
    assert not set(names) & set(known_names("public")), "a name of the core is given to a package"


def test_star_import_brings_the_names_of_the_core():
    space: dict[str, object] = {}
    exec("from dovetail import *", space)
    assert set(core_modules()) <= set(space)


def test_modules_and_classes_are_reached_the_usual_ways():
    import dovetail as transformers
    import dovetail.configs as direct
    from dovetail import configs

    assert transformers.configs is configs is direct
    assert transformers.__version__.count(".") == 2
    config = dovetail.PretrainedConfig
    assert pickle.loads(pickle.dumps(config)) is config


def test_an_unknown_name_lists_near_ones():
    with pytest.raises(ImportError, match=r"no public name 'AutoCnfig'. Did you mean 'AutoConfig'"):
        from dovetail import AutoCnfig  # noqa: F401
    with pytest.raises(AttributeError, match="Did you mean 'AutoConfig'"):
        dovetail.AutoCnfig  # noqa: B018
    assert not hasattr(dovetail, "surely_nothing")
    assert getattr(dovetail, "surely_nothing", 3) == 3
    assert not hasattr(dovetail, "__wrapped__")
    assert not hasattr(dovetail, "no.such.module")
    assert not hasattr(dovetail, "")


def test_a_module_of_the_core_that_fails_to_import_says_its_own_error(monkeypatch, tmp_path):
    (tmp_path / "acme_failing.py").write_text("import acme_not_there")
    monkeypatch.setattr(dovetail, "__path__", [*dovetail.__path__, str(tmp_path)])
    with pytest.raises(ModuleNotFoundError, match="acme_not_there"):
        from dovetail import acme_failing  # noqa: F401


# Arrows


def sources(package: str) -> list[Path]:
    folder = PACKAGES / package.removeprefix("dovetail_").replace("_", "-") / "src" / package
    return sorted((CORE if package == "dovetail" else folder).rglob("*.py"))


def imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Each imported module and name (empty for ``import module``)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_packages_import_only_whom_they_may(package):
    paths = sources(package)
    assert paths
    for path in paths:
        if "newplugin" in path.parts:
            continue  # templates of foreign packages
        for module, _ in imported(ast.parse(path.read_text())):
            top = module.partition(".")[0]
            ours = top == "dovetail" or top.startswith("dovetail_")
            assert not ours or top == package or top in MAY_IMPORT[package], f"{path}: {module}"


@pytest.mark.parametrize("package", [name for name in MAY_IMPORT if name != "dovetail"])
def test_official_packages_use_only_public_names_of_the_core(package):
    for path in sources(package):
        for module, name in imported(ast.parse(path.read_text())):
            if module.partition(".")[0] == "dovetail":
                private = [part for part in (*module.split("."), name) if part.startswith("_")]
                assert not private, f"{path} uses {module}.{name}"


def at_import_time(tree: ast.Module) -> Iterator[ast.stmt]:
    """The statements that run when a module is imported: not in functions, not for types only."""
    pending: list[ast.stmt] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If):
            typing_only = "TYPE_CHECKING" in ast.unparse(node.test)
            pending += node.orelse if typing_only else [*node.body, *node.orelse]
        elif isinstance(node, ast.ClassDef | ast.With):
            pending += node.body
        elif isinstance(node, ast.Try):
            pending += [*node.body, *node.orelse, *node.finalbody]
            pending += [statement for handler in node.handlers for statement in handler.body]
        else:
            yield node


def dependencies(path: Path, modules: set[str]) -> set[str]:
    found = set()
    for node in at_import_time(ast.parse(path.read_text())):
        for module, name in imported(node) if isinstance(node, ast.Import | ast.ImportFrom) else ():
            candidates = {f"{module}.{name}", module} & modules
            found |= {max(candidates, key=len)} if candidates else set()
    return found


def test_imports_inside_the_core_form_no_circle():
    names = {
        path: ".".join(path.relative_to(CORE.parent).with_suffix("").parts)
        for path in sources("dovetail")
    }
    names = {path: name.removesuffix(".__init__") for path, name in names.items()}
    modules = set(names.values())
    graph = {name: dependencies(path, modules) - {name} for path, name in names.items()}
    assert list(TopologicalSorter(graph).static_order())

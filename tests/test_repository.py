"""The repository keeps its own rules: layout, versions, declarations, and limits that only go
down.
"""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from statistics import median

import measures
import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from dovetail import plugins, registry

ROOT = Path(__file__).parents[1]
PACKAGES = sorted(path.parent for path in ROOT.glob("packages/*/pyproject.toml"))
EXTRAS = {"agents", "all", "audio", "quantizers", "text", "training", "vision"}
THIRD_PARTY = {"structured"}  # extras for packages that are not ours
MODULES = sorted(ROOT.glob(measures.EVERYTHING))
MODELS = [path for path in MODULES if path.name == "modeling.py" and "core" not in path.parts]

# Limits that may only go down.
LONGEST_MODULE = 450
LONGEST_MODEL = 350
FUNCTION_MEDIAN = 10
FUNCTION_P90 = 30
LONGEST_FUNCTION = 75
MODEL_DUPLICATION = 0.06
DUPLICATION = 0.03


def project(package: Path) -> dict:
    return tomllib.loads((package / "pyproject.toml").read_text())


def distribution(package: Path) -> str:
    return "dovetail" if package.name == "core" else f"dovetail-{package.name}"


def module_folder(package: Path) -> Path:
    return package / "src" / distribution(package).replace("-", "_")


def identify(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tracked() -> list[Path]:
    names = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if names.returncode:
        pytest.skip("not a checkout of git")
    return [path for line in names.stdout.splitlines() if (path := ROOT / line).is_file()]


# Layout and metadata


@pytest.mark.parametrize("package", PACKAGES, ids=identify)
def test_every_package_has_its_parts_and_metadata(package):
    folder, data = module_folder(package), project(package)
    assert data["project"]["name"] == distribution(package)
    assert (folder / "__init__.py").is_file()
    assert (folder / "py.typed").is_file()
    assert (package / "README.md").read_text().startswith(f"# {distribution(package)}\n")
    assert data["build-system"]["build-backend"] == "hatchling.build"
    assert data["project"]["requires-python"] == ">=3.11"
    assert data["project"]["license"] == "Apache-2.0"
    if package.name != "core":
        points = data["project"]["entry-points"]["dovetail"]
        assert points == {package.name: f"{folder.name}.plugin"}
        assert len((package / "pyproject.toml").read_text().splitlines()) <= 45


def test_versions_are_in_lockstep_and_from_one_place():
    version = Version((ROOT / "VERSION").read_text().strip())
    bound = f"~={version.major}.{version.minor}.0"
    for package in PACKAGES:
        data = project(package)
        assert data["project"]["dynamic"] == ["version"]
        assert data["tool"]["hatch"]["version"]["path"] == "../../VERSION"
        extras = data["project"].get("optional-dependencies", {})
        lines = [
            *data["project"]["dependencies"],
            *(line for part in extras.values() for line in part),
        ]
        for requirement in map(Requirement, lines):
            if requirement.name.startswith("dovetail") and not requirement.extras:
                assert str(requirement.specifier) == bound
    installed = {plugin.version for plugin in plugins.manager().plugins if official(plugin)}
    assert installed == {str(version)}


def official(plugin: plugins.Plugin) -> bool:
    return plugin.distribution in map(distribution, PACKAGES)


def test_third_party_requirements_are_floors():
    for package in PACKAGES:
        for requirement in map(Requirement, project(package)["project"]["dependencies"]):
            if not requirement.name.startswith("dovetail"):
                assert [part.operator for part in requirement.specifier] == [">="]


def test_the_core_has_an_extra_for_every_package():
    extras = project(ROOT / "packages" / "core")["project"]["optional-dependencies"]
    assert set(extras) == EXTRAS | THIRD_PARTY
    named = {Requirement(extras[key][0]).name for key in EXTRAS - {"all"}}
    assert named == {distribution(package) for package in PACKAGES} - {"dovetail"}
    assert Requirement(extras["all"][0]).extras == EXTRAS - {"all"} | THIRD_PARTY


def test_every_official_plugin_is_active():
    found = {p.distribution: p.status for p in plugins.manager().plugins if official(p)}
    assert found == dict.fromkeys(map(distribution, PACKAGES), "active")


# Declarations


@pytest.mark.parametrize("kind", ["text", "vision", "audio"])
def test_every_model_folder_is_declared_and_every_declaration_has_its_folder(kind):
    package = ROOT / "packages" / f"models-{kind}"
    folders = {path.parent.name for path in module_folder(package).glob("*/configuration.py")}
    prefix = f"{module_folder(package).name}."
    declared = {
        item.config.partition(":")[0].removeprefix(prefix).partition(".")[0]
        for item in registry.models().declarations()
        if isinstance(item.config, str) and item.config.startswith(prefix)  # others: other tests'
    }
    assert declared == folders


def test_every_declared_target_of_an_official_package_imports():
    for kind in registry.all_registries():
        for item in kind.declarations():
            if official(kind.providers(item.keys[0])[0]):
                for target in plugins.targets(item):
                    assert registry.resolve(target) is not None


def test_official_packages_use_public_names_of_the_core_alone():
    private = re.compile(r"^\s*from dovetail[.\w]* import .*\b_[a-z]\w*", re.MULTILINE)
    outside = [path for path in MODULES if "packages/core" not in path.as_posix()]
    assert outside
    for path in outside:
        assert not private.search(path.read_text()), identify(path)


# What stands in no file


def test_no_path_of_a_machine_and_no_import_of_the_reference():
    place = re.compile(r"(?<![\w.:/-])/(?:work|root|farm)/\w")
    reference = re.compile(r"^\s*(?:import|from) transformers\b", re.MULTILINE)
    oracles = ("scripts/golden", "benchmarks")
    for path in tracked():
        if path.suffix in (".py", ".sh", ".toml", ".md", ".yml", "") and path.name != "LICENSE":
            text = path.read_text(encoding="utf-8")
            assert not place.search(text), identify(path)
            if not identify(path).startswith(oracles) and path.suffix == ".py":
                assert not reference.search(text), identify(path)


def test_no_large_files():
    for path in tracked():
        limit = 1_500_000 if "golden" in path.parts else 300_000
        assert path.stat().st_size <= limit, identify(path)


def test_no_module_is_called_utils():
    assert not [identify(path) for path in MODULES if path.stem in ("utils", "helpers", "misc")]


# Length and repetition


@pytest.mark.parametrize("path", MODULES, ids=identify)
def test_no_module_is_too_long(path):
    limit = LONGEST_MODEL if path in MODELS else LONGEST_MODULE
    assert len(measures.code_lines(path)) <= limit


def test_functions_are_short():
    lengths = {
        f"{identify(path)}:{name}": length
        for path in MODULES
        for name, length in measures.function_lengths(path).items()
    }
    assert median(lengths.values()) <= FUNCTION_MEDIAN
    assert measures.percentile_90(lengths.values()) <= FUNCTION_P90
    # The hooks of a plugin are tables of contents: one entry per family.
    code = {name: length for name, length in lengths.items() if "/plugin.py:" not in name}
    assert not {name: length for name, length in code.items() if length > LONGEST_FUNCTION}


@pytest.mark.parametrize(
    ("paths", "limit"), [(MODELS, MODEL_DUPLICATION), (MODULES, DUPLICATION)], ids=["models", "all"]
)
def test_little_is_written_twice(paths, limit):
    shares = measures.duplication(paths)
    sizes = {path: len(measures.code_lines(path)) for path in paths}
    share = sum(shares[path] * sizes[path] for path in paths) / sum(sizes.values())
    worst = sorted(((shares[p], identify(p)) for p in paths), reverse=True)[:3]
    assert share <= limit, f"{share:.1%} is written twice, most in {worst}"


# Measures


def test_the_measures_count_what_they_say(tmp_path):
    body = "".join(f"    x{i} = {i}\n" for i in range(9))
    source = (
        f'"""Doc."""\n\nimport os  # why\n\n\ndef one():\n    """Doc."""\n    # no code\n{body}'
    )
    for name in ("acme", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "modeling.py").write_text(source.replace("x3", f"{name}3"))
    path, other = sorted(tmp_path.glob("*/modeling.py"))
    assert len(measures.code_lines(path)) == 11
    assert list(measures.function_lengths(path).values()) == [10]
    assert measures.duplication([path, other]) == {path: 1.0, other: 1.0}
    assert measures.percentile_90(range(101)) == 90

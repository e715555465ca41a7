"""What the core's tests share."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import textwrap
import venv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from dovetail import plugins

Install = Callable[..., Path]


@pytest.fixture
def host() -> Iterator[plugins.PluginHost]:
    """The process's plugin host, forgetting before and after the test."""
    manager = plugins.manager()
    manager.reset()
    yield manager
    manager.reset()


@pytest.fixture
def install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: plugins.PluginHost
) -> Iterator[Install]:
    """``install(distribution, module_source)`` puts a distribution with one plugin on the path.

    The module is the distribution's name with underscores, the plugin's name that without
    "acme-". What `files` adds lies beside the module.
    """
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    for variable in (plugins.ALLOW, plugins.DISABLE, plugins.PREFER):
        monkeypatch.delenv(variable, raising=False)
    before = set(sys.modules)

    def put(
        distribution: str,
        source: str,
        version: str = "1.0",
        entry_points: str | None = None,
        **files: str,
    ) -> Path:
        module = distribution.replace("-", "_")
        info = folder / f"{module}-{version}.dist-info"
        info.mkdir()
        metadata = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n\nAbout.\n"
        (info / "METADATA").write_text(metadata)
        name = distribution.removeprefix("acme-")
        entry_points = entry_points or f"[dovetail]\n{name} = {module}\n"
        (info / "entry_points.txt").write_text(entry_points)
        header = "from dovetail import hookimpl\nfrom dovetail.declarations import *\n"
        for name, text in {module: header + textwrap.dedent(source), **files}.items():
            (folder / f"{name}.py").write_text(textwrap.dedent(text))
        host.reset()
        return info

    yield put
    for name in set(sys.modules) - before:
        if name.startswith("acme_"):
            del sys.modules[name]


ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Environment:
    """A virtual environment that holds wheels of ours and sees third-party packages."""

    folder: Path

    def run(self, *command: str, check: bool = True, **variables: str) -> str:
        """Run a program of the environment; returns what it prints."""
        program, *words = command
        done = subprocess.run(
            [self.folder / "bin" / program, *words],
            cwd=self.folder,
            env={**CLEAN, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout
        return done.stdout.strip()

    def python(self, code: str, check: bool = True, **variables: str) -> str:
        """Run Python code with warnings as errors; returns what it prints."""
        return self.run(
            "python", "-W", "error", "-c", textwrap.dedent(code), check=check, **variables
        )


CLEAN = {
    name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "DOVETAIL"))
} | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="session")
def third_party(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything installed here but distributions of ours."""
    folder = tmp_path_factory.mktemp("third-party")
    here = {Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib")}
    for entry in (entry for site in here for entry in site.iterdir()):
        ours = entry.name.lower().lstrip("_").startswith("dovetail")
        if not ours and entry.suffix != ".pth" and entry.name != "__pycache__":
            (folder / entry.name).symlink_to(entry)
    return folder


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """``wheel(project)`` builds one, each project once."""
    folder = tmp_path_factory.mktemp("wheels")

    @cache
    def build(project: Path) -> Path:
        place = folder / project.name
        run(project, "hatchling", "build", "-t", "wheel", "-d", place)
        return next(place.glob("*.whl"))

    return build


@pytest.fixture(scope="session")
def make_environment(
    third_party: Path, wheel: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Environment]:
    """``make_environment(project, ...)`` installs wheels of the core and of these projects."""

    def make(*projects: Path) -> Environment:
        folder = tmp_path_factory.mktemp("environment")
        venv.create(folder, with_pip=False, symlinks=True)
        site = next(folder.glob("lib/python*/site-packages"))
        (site / "third_party.pth").write_text(f"{third_party}\n")
        wheels = [wheel(project) for project in (ROOT / "packages" / "core", *projects)]
        target = ("--python", folder / "bin" / "python")
        options = ("--disable-pip-version-check", "-q")
        run(folder, "pip", *options, *target, "install", "--no-deps", "--no-index", *wheels)
        return Environment(folder)

    return make


def run(folder: Path, module: str, *words: object) -> None:
    """Run a tool of this environment in `folder`."""
    command = [sys.executable, "-m", module, *map(str, words)]
    subprocess.run(command, cwd=folder, env=CLEAN, check=True, stdout=subprocess.DEVNULL)

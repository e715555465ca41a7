"""What the core's tests share."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
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

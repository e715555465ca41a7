"""Writes a new plugin package: a copy of one of the packages under ``templates``, renamed.

The templates are ordinary Python packages called ``acme-example``, so they can be read, linted and
run as they are. ``common`` holds the files of every kind, each other folder those of one kind.
"""

from __future__ import annotations

import keyword
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dovetail.discovery import canonical, core_version
from dovetail.errors import DovetailError

TEMPLATES = Path(__file__).parent / "templates"
KINDS = ("model", "pipeline", "quantizer", "tool")
NAME = re.compile(r"[A-Za-z](?:[A-Za-z0-9]|[-_.](?=[A-Za-z0-9]))*")


class NewPluginError(DovetailError, ValueError):
    """A name or folder that cannot become a plugin package."""


@dataclass(frozen=True)
class Names:
    """The spellings of one name: of the distribution, the import package, a class's prefix."""

    distribution: str
    package: str
    prefix: str

    @classmethod
    def of(cls, name: str) -> Names:
        """The spellings of `name`, which is as in ``pip install NAME``.

        Raises:
            NewPluginError: no distribution or package can be called so.
        """
        if not NAME.fullmatch(name):
            raise NewPluginError(
                f"{name!r} cannot be the name of a package: begin with a letter and use letters, "
                "digits and single dashes, as in 'acme-models'."
            )
        distribution = canonical(name)
        package = distribution.replace("-", "_")
        if keyword.iskeyword(package) or package in sys.stdlib_module_names:
            raise NewPluginError(f"{name!r} is a name of Python itself; choose another.")
        if package == "dovetail" or package.startswith("dovetail_"):
            raise NewPluginError(
                f"{name!r} looks like an official package of Dovetail; begin with a name of yours."
            )
        prefix = "".join(part[:1].upper() + part[1:] for part in distribution.split("-"))
        return cls(distribution, package, prefix)

    def rename(self, text: str) -> str:
        """`text` of a template in terms of this name."""
        text = text.replace("acme_example", self.package).replace("acme-example", self.distribution)
        text = text.replace("AcmeExample", self.prefix)
        return text.replace('"dovetail>=0"', f'"dovetail>={core_version()}"')


def write_plugin(name: str, kind: str, parent: str | os.PathLike[str] = ".") -> Path:
    """Write a plugin package of `kind` (one of `KINDS`) into the new folder ``parent/name``.

    The folder appears whole or not at all. Returns it.

    Raises:
        NewPluginError: the name, the kind or the folder cannot be.
    """
    names = Names.of(name)
    if kind not in KINDS:
        raise NewPluginError(f"There is no kind {kind!r}; choose one of {', '.join(KINDS)}.")
    folder = Path(parent) / names.distribution
    if folder.exists():
        raise NewPluginError(f"{folder} exists; choose another name or remove it first.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for path, text in files(names, kind):
            (staging / path).parent.mkdir(parents=True, exist_ok=True)
            (staging / path).write_text(text, encoding="utf-8")
        staging.chmod(0o755)
        staging.rename(folder)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return folder


def files(names: Names, kind: str) -> Iterator[tuple[str, str]]:
    """Path and text of every file of a new package."""
    for root in (TEMPLATES / "common", TEMPLATES / kind):
        for path in sorted(root.rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                relative = names.rename(path.relative_to(root).as_posix())
                yield relative, names.rename(path.read_text(encoding="utf-8"))

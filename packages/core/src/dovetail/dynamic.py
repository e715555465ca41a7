"""Running the code that a checkpoint brings along, only with the caller's consent.

Consent is the argument ``trust_remote_code=True``, never a file. What runs comes from one commit:
the one `code_revision` or `revision` names, or the one a branch points to now, which is then logged
so that it can be pinned. Code of a repository other than the checkpoint's own runs only at a commit
that the caller named. Modules are compiled from their source, in a package of their own for each
commit; relative imports within it are fetched when they happen.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from dovetail import hub
from dovetail.atomic import atomic_write
from dovetail.config_values import is_commit
from dovetail.errors import DovetailError, HubError, RemoteCodeError, near_matches
from dovetail.logging import get_logger

logger = get_logger(__name__)

PACKAGE = "dovetail_remote"
"""The package below which all code of checkpoints lives."""
REFERENCE = re.compile(r"(?:(?P<repo>[\w./-]+)--)?(?P<module>[A-Za-z_]\w*)\.(?P<name>[A-Za-z_]\w*)")


def resolve_trust_remote_code(
    trust_remote_code: bool | None, source: str, has_local_code: bool, has_remote_code: bool
) -> bool:
    """Whether to run the code of `source`.

    Raises:
        RemoteCodeError: only the repository has the code, and the caller has not consented.
    """
    if not has_remote_code:
        return False
    if trust_remote_code:
        return True
    if has_local_code:
        return False
    raise RemoteCodeError(
        f"{source} needs code of its own to be run, which may do anything on this machine. Read "
        "it, "
        "and if you trust it pass trust_remote_code=True together with revision='<commit>'; or "
        "install the plugin that provides this architecture."
    )


def get_class_from_dynamic_module(
    class_reference: str,
    pretrained_model_name_or_path: str | os.PathLike[str],
    *,
    code_revision: str | None = None,
    revision: str | None = None,
    commit_hash: str | None = None,
    subfolder: str = "",
    **where: Any,
) -> Any:
    """The class that ``"module.Class"`` or ``"repository--module.Class"`` names; its code is run.

    `commit_hash` is the commit that the config came from, and so its code; `where` are further
    arguments of `dovetail.hub.cached_file`. Ask `resolve_trust_remote_code` first.

    Raises:
        RemoteCodeError: the reference is malformed, its repository is another one and not pinned by
            `code_revision`, the code fails to import, or it holds no such class.
        HubError: the module's file is not there.
    """
    source = os.fspath(pretrained_model_name_or_path)
    found = REFERENCE.fullmatch(class_reference) if isinstance(class_reference, str) else None
    if found is None:
        raise RemoteCodeError(
            f"{source}: auto_map names {class_reference!r:.100}, which is not of the form "
            "'module.Class' or 'repository--module.Class'. Correct its config."
        )
    repo = found["repo"] or source
    if repo != source and not is_commit(code_revision):
        raise RemoteCodeError(
            f"{source} wants to run code of another repository, {repo}. Read it, and if you trust "
            "it pass code_revision='<full commit hash>'."
        )
    if repo == source and code_revision is None:
        where["commit_hash"] = commit_hash
    origin = _origin(repo, found["module"], code_revision or revision or "main", subfolder, where)
    module = _import(f"{origin.package}.{found['module']}", repo)
    try:
        return getattr(module, found["name"])
    except AttributeError:
        raise RemoteCodeError(
            f"{repo}: {found['module']}.py has no {found['name']!r}."
            f"{near_matches(found['name'], vars(module))} Correct auto_map in its config."
        ) from None


@dataclass(frozen=True)
class _Origin:
    """Where the modules of one package come from: a folder, or a repository at a commit."""

    package: str
    source: str
    where: Mapping[str, Any]

    def locate(self, path: str) -> str | None:
        return hub.cached_file(self.source, path, raise_on_missing=False, **self.where)


_origins: dict[str, _Origin] = {}


def _origin(
    repo: str, module: str, revision: str, subfolder: str, where: Mapping[str, Any]
) -> _Origin:
    where = {name: value for name, value in where.items() if value is not None}
    if subfolder:
        where["subfolder"] = subfolder
    path = hub.cached_file(repo, f"{module}.py", revision=revision, **where)
    commit = hub.commit_of(path)
    if commit is None:  # a local folder: changed files are other code
        state = "".join(
            f"{file.name}{file.stat().st_mtime_ns}" for file in Path(str(path)).parent.glob("*.py")
        )
        commit = hashlib.sha256(f"{Path(repo).resolve()}{state}".encode()).hexdigest()[:40]
    elif not is_commit(revision):
        logger.warning_once(
            f"Running code of {repo} at commit {commit}, where revision {revision!r} points now. "
            f"Pass revision='{commit}' so that it cannot change."
        )
    name = f"{PACKAGE}.{re.sub(r'[^A-Za-z0-9]', '_', repo)}_{commit}"
    if name not in _origins:
        pinned = where if hub.commit_of(path) is None else {**where, "commit_hash": commit}
        _origins[name] = _Origin(name, repo, pinned)
        _add_package(name)
    return _origins[name]


def _add_package(name: str) -> None:
    if PACKAGE not in sys.modules:
        sys.modules[PACKAGE] = _package(PACKAGE)
        sys.meta_path.insert(0, _Finder())
    sys.modules[name] = _package(name)
    setattr(sys.modules[PACKAGE], name.rpartition(".")[2], sys.modules[name])


def _package(name: str) -> ModuleType:
    package = ModuleType(name)
    package.__path__ = []
    package.__package__ = name
    return package


class _Finder(importlib.abc.MetaPathFinder):
    """Finds ``dovetail_remote.<repository and commit>.<module>`` in the files of that commit."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        parts = fullname.split(".")
        origin = _origins.get(".".join(parts[:2]))
        if origin is None or len(parts) < 3:
            return None
        stem = "/".join(parts[2:])
        for file, packaged in ((f"{stem}.py", False), (f"{stem}/__init__.py", True)):
            found = origin.locate(file)
            if found is not None:
                loader = _SourceLoader(fullname, found)
                return importlib.util.spec_from_file_location(
                    fullname,
                    found,
                    loader=loader,
                    submodule_search_locations=[] if packaged else None,
                )
        return None


class _SourceLoader(importlib.machinery.SourceFileLoader):
    """Compiles the source itself: byte code that lies beside it is neither read nor written."""

    def path_stats(self, path: str) -> Any:
        raise OSError("byte code of checkpoints is not used")


def _import(name: str, repo: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as failure:
        missing = (failure.name or "").split(".")[0]
        if missing == PACKAGE:
            raise HubError(
                f"{repo} has no module {str(failure.name).rpartition('.')[2]}.py."
            ) from None
        raise RemoteCodeError(
            f"The code of {repo} needs the package {missing!r}, which is not installed. "
            f"Install it, for instance with `pip install {missing}`."
        ) from failure
    except DovetailError:
        raise
    except Exception as failure:
        raise RemoteCodeError(
            f"The code of {repo} failed while it was imported: {type(failure).__name__}: {failure}"
        ) from failure


# --- saving ---


def custom_object_save(obj: Any, folder: str | os.PathLike[str], config: Any = None) -> list[str]:
    """Copy the source of `obj`'s class into `folder`, and name it in `config`'s ``auto_map``.

    `config` is a config, a dictionary or a list of them. Returns the names of the files written.
    """
    module = copy_module(type(obj), folder)
    for one in config if isinstance(config, list | tuple) else [config]:
        if one is not None:
            _name_in_auto_map(one, obj, f"{module}.{type(obj).__name__}")
    return sorted(_sources(type(obj)))


def copy_module(cls: type, folder: str | os.PathLike[str]) -> str:
    """Copy the module of `cls` and those it imports relatively; returns its name there."""
    for name, source in _sources(cls).items():
        atomic_write(Path(folder) / name, source)
    return cls.__module__.rpartition(".")[2]


def _name_in_auto_map(config: Any, obj: Any, name: str) -> None:
    kept = config.get("auto_map") if isinstance(config, dict) else getattr(config, "auto_map", None)
    auto_class = type(obj)._auto_class
    value: Any = name
    if auto_class == "AutoTokenizer":  # pairs of slow and fast class, of which we have the latter
        value = [None, name]
    merged = {**(kept or {}), auto_class: value}
    if isinstance(config, dict):
        config["auto_map"] = merged
    else:
        config.auto_map = merged


def _sources(cls: type) -> dict[str, bytes]:
    """File name to content of the module of `cls` and of all it imports relatively."""
    if cls.__module__ == "__main__":
        raise RemoteCodeError(
            f"{cls.__name__} is defined in the running script, whose source cannot be saved with a "
            "checkpoint. Put it into a module of its own and import it from there."
        )
    found: dict[str, bytes] = {}
    waiting = [cls.__module__]
    while waiting:
        module = importlib.import_module(waiting.pop())
        path = inspect.getsourcefile(module)
        if path is None:
            raise RemoteCodeError(f"The source of {module.__name__} is not available to be saved.")
        name = f"{module.__name__.rpartition('.')[2]}.py"
        if name not in found:
            found[name] = Path(path).read_bytes()
            waiting += [
                f"{module.__name__.rpartition('.')[0]}.{relative}"
                for relative in _relative_imports(found[name], path)
            ]
    return found


def _relative_imports(source: bytes, path: str) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(source, path)):
        if isinstance(node, ast.ImportFrom) and node.level:
            module = node.module or ""
            if node.level > 1 or "." in module:
                raise RemoteCodeError(
                    f"{path}, line {node.lineno}: only modules beside this one can be saved with a "
                    "checkpoint. Import from '.module'."
                )
            names += [module] if module else [alias.name for alias in node.names]
    return names

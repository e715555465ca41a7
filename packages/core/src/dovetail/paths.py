"""Joining a folder with a name that came from a file, without ever leaving the folder."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath, PureWindowsPath

from dovetail.errors import CheckpointError, DovetailError

MAX_NAME = 1024


def safe_join(
    folder: str | os.PathLike[str],
    name: object,
    *,
    where: str = "",
    error: type[DovetailError] = CheckpointError,
) -> Path:
    """The path of `name`, which a file and not the caller gave, within `folder`.

    Absolute names, ``..``, drive letters, backslashes, control characters and links that lead
    outside are refused with `error`; `where` says which file gave the name. Links into the store
    of the Hub's cache, which is how its snapshots are made, count as inside.
    """
    source = f"{where}: " if where else ""
    if not isinstance(name, str) or not name or len(name) > MAX_NAME or not name.isprintable():
        raise error(f"{source}{name!r:.120} is no file name. Replace the file which names it.")
    path = PurePosixPath(name)
    windows = PureWindowsPath(name)
    if path.is_absolute() or windows.drive or "\\" in name or ".." in path.parts:
        raise error(
            f"{source}{name!r} lies outside the folder {os.fspath(folder)}. "
            "A file may only name files beside or below itself: correct the name, or do not use "
            "this checkpoint if you did not make it."
        )
    root = Path(folder)
    joined = root / path
    target = Path(os.path.realpath(joined))
    if not any(target.is_relative_to(allowed) for allowed in _roots(root)):
        raise error(
            f"{source}{name!r} is a link to {target}, outside the folder {root}. "
            "Put the file itself there if you trust it."
        )
    return joined


def _roots(folder: Path) -> list[str]:
    roots = [os.path.realpath(folder)]
    for parent in Path(os.path.abspath(folder)).parents:
        if parent.name == "snapshots":
            roots.append(os.path.realpath(parent.parent / "blobs"))
    return roots

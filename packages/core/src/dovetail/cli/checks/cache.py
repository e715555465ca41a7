"""Checks of the Hub's cache: downloads that never ended, links to nothing, shards that are missing,
a full disk.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from dovetail.cli.checks import Finding

FEW_BYTES = 2 * 2**30


def cache_entries() -> list[Finding]:
    """What is broken or half done in the cache, repository by repository."""
    from huggingface_hub.constants import HF_HUB_CACHE

    root = Path(HF_HUB_CACHE)
    if not root.is_dir():
        return []
    found = [] if os.access(root, os.W_OK) else [_read_only(root)]
    for repo in sorted(root.glob("*--*")):
        found += [
            *_unfinished(repo),
            *_dangling(repo),
            *_lost_revisions(repo),
            *_missing_shards(repo),
        ]
    return found


def disk_space() -> list[Finding]:
    """Whether the disk that holds the cache is nearly full."""
    from huggingface_hub.constants import HF_HUB_CACHE

    root = Path(HF_HUB_CACHE)
    place = next(folder for folder in (root, *root.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    if free >= FEW_BYTES:
        return []
    remedy = "make room, or move the cache with HF_HOME"
    return [Finding("warning", str(root), f"only {_size(free)} are free on this disk", remedy)]


def _read_only(root: Path) -> Finding:
    return Finding(
        "warning",
        str(root),
        "this user may not write to the cache",
        "set HF_HOME to another folder",
    )


def _unfinished(repo: Path) -> Iterator[Finding]:
    for blob in sorted(repo.glob("blobs/*.incomplete")):
        problem = f"a download stopped after {_size(blob.stat().st_size)}: {blob.name}"
        yield Finding(
            "warning", _name(repo), problem, f"dovetail download {_name(repo)} resumes it"
        )


def _dangling(repo: Path) -> Iterator[Finding]:
    for link in sorted(repo.glob("snapshots/*/**/*")):
        if link.is_symlink() and not link.exists():
            problem = f"{link.relative_to(repo)} points to a file that is gone"
            yield Finding("error", _name(repo), problem, _refetch(repo))


def _lost_revisions(repo: Path) -> Iterator[Finding]:
    for ref in sorted(path for path in repo.glob("refs/**/*") if path.is_file()):
        commit = ref.read_text(errors="replace").strip()
        if not (repo / "snapshots" / commit).is_dir():
            problem = f"no file is here of revision {ref.name!r}, commit {commit[:12] or 'unknown'}"
            yield Finding("warning", _name(repo), problem, _refetch(repo))


def _missing_shards(repo: Path) -> Iterator[Finding]:
    """Snapshots whose index names weight files that were never fetched."""
    for index in sorted(repo.glob("snapshots/*/*.index.json")):
        try:
            shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (OSError, ValueError, KeyError, AttributeError, TypeError):
            yield Finding(
                "error", _name(repo), f"{index.name} cannot be read as an index", _refetch(repo)
            )
            continue
        missing = sorted(
            name for name in map(str, shards) if not os.path.lexists(index.parent / name)
        )
        if missing:
            problem = (
                f"{len(missing)} of {len(shards)} weight files are missing, first {missing[0]}"
            )
            yield Finding("warning", _name(repo), problem, f"dovetail download {_name(repo)}")


def _name(repo: Path) -> str:
    """``models--org--name`` as ``org/name``."""
    return repo.name.partition("--")[2].replace("--", "/")


def _refetch(repo: Path) -> str:
    return f"delete {repo}, then: dovetail download {_name(repo)}"


def _size(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.4g} {unit}"
        count /= 1024
    return f"{count:.4g} GiB"

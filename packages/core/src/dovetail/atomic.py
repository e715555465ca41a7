"""Saving so that a kill, a full disk or a reader meets the old state or the new, never a mix.

One file is written beside its place, flushed and renamed (`atomic_write`). Files that belong
together are staged in a folder of their own and published together (`published_folder`), in these
steps:

1. make the staging folder inside the target folder;
2. the caller writes its files there;
3. flush them, and add the manifest: sizes and fingerprints of what belongs together;
4. write the journal, which names the staged files and the old ones to remove: from here on the save
   has happened, and whoever finds a journal carries out what is left (`recover`);
5. rename each file into place;
6. remove the old files;
7. remove the journal and the staging folder.

A kill before step 4 leaves the old state, one after it the new state. Steps 4 to 7 hold a lock on
the folder, which `recover` waits for.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from dovetail.errors import CheckpointError
from dovetail.json_files import read_json_object
from dovetail.paths import safe_join

try:
    import fcntl
except (
    ImportError
):  # Windows has no advisory locks on folders: saves there are safe, not concurrent
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "JOURNAL",
    "MANIFEST",
    "PRIVATE_FILES",
    "STAGING_PREFIX",
    "atomic_write",
    "check_manifest",
    "fingerprint",
    "published_folder",
    "reading",
    "recover",
]

STAGING_PREFIX = ".dovetail-staging-"
JOURNAL = ".dovetail-journal.json"
MANIFEST = ".dovetail-manifest.json"
TEMPORARY = ".dovetail-tmp"
PRIVATE_FILES = (
    f"{STAGING_PREFIX}*",
    f"{STAGING_PREFIX}*/**",
    JOURNAL,
    MANIFEST,
    f".*{TEMPORARY}",
)
"""Patterns of what is no part of a checkpoint and is never uploaded."""

NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
"""What file systems without locks answer: saves there are safe, but not from concurrent ones."""
WHOLE = 2**20
SAMPLES = 64
SAMPLE_BYTES = 4096
ABANDONED_SECONDS = 3600
"""When a temporary file, of which nobody knows whose it is, counts as left by a kill."""


def atomic_write(path: str | os.PathLike[str], data: bytes | str) -> None:
    """Put `data` (text as UTF-8) into `path`: all of it, or nothing and the old file stays.

    Raises OSError, with nothing left behind, when the disk is full or the folder cannot be written.
    """
    path = Path(path)
    content = data.encode() if isinstance(data, str) else data
    beside = path.with_name(f".{path.name}.{os.urandom(4).hex()}{TEMPORARY}")
    try:
        with beside.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    _flush_folder(path.parent)
    _sweep_temporary(path.parent, f".{path.name}.")


@contextlib.contextmanager
def published_folder(
    folder: str | os.PathLike[str], *, obsolete: Sequence[str] = ()
) -> Iterator[Path]:
    """A staging folder to write files into, which all appear in `folder` when the block ends.

    An exception in the block discards them. `obsolete` are patterns (``"model-*.safetensors"``) of
    files which the new state replaces: those not written anew are removed once the new ones are in
    place."""
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise CheckpointError(f"{folder} is a file; choose a folder to save into.")
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        with _locked(folder):
            _roll_forward(folder)
            _sweep(folder)
            staging = Path(tempfile.mkdtemp(prefix=STAGING_PREFIX, dir=folder))
            stack.enter_context(_locked(staging))
        try:
            yield staging
            _commit(folder, staging, obsolete)
        except BaseException:
            if not (folder / JOURNAL).exists():
                shutil.rmtree(staging, ignore_errors=True)
            raise


def recover(folder: str | os.PathLike[str]) -> None:
    """Finish a save into `folder` that was interrupted after it had happened; call before reading.

    Raises `CheckpointError` when that needs rights this process has not.
    """
    folder = Path(folder)
    if not (folder / JOURNAL).exists():
        return
    try:
        with _locked(folder):
            _roll_forward(folder)
    except PermissionError as failure:
        raise CheckpointError(
            f"A save into {folder} was interrupted and {failure.filename or folder} cannot be "
            "written "
            "to finish it. Load the folder once with the account that saved it."
        ) from failure


@contextlib.contextmanager
def reading(folder: str | os.PathLike[str]) -> Iterator[None]:
    """While files of `folder` are opened: no save moves others into place meanwhile."""
    recover(folder)
    with _locked(Path(folder), shared=True):
        yield


def fingerprint(path: str | os.PathLike[str]) -> str:
    """A digest that tells two states of a file apart, from 64 samples if it is large.

    Reading a few hundred kilobytes is enough, because two states of a model differ everywhere.
    """
    size = os.path.getsize(path)
    digest = hashlib.sha256(str(size).encode())
    with open(path, "rb") as file:
        if size <= WHOLE:
            digest.update(file.read())
        else:
            for sample in range(SAMPLES):
                file.seek((size - SAMPLE_BYTES) * sample // (SAMPLES - 1))
                digest.update(file.read(SAMPLE_BYTES))
    return digest.hexdigest()


def check_manifest(folder: str | os.PathLike[str], names: Iterable[str]) -> None:
    """Refuse files that belong together when some are those of the last save and others are not.

    `names` are the files about to be read (an index and its shards). Folders without manifest, and
    those whose files were all replaced since by something else, pass.
    """
    folder = Path(folder)
    if not (folder / MANIFEST).exists():
        return
    saved = _saved_states(folder)
    states = {name: _state(folder / name) == saved[name] for name in names if name in saved}
    changed = sorted(name for name, same in states.items() if not same)
    if changed and len(changed) < len(states):
        raise CheckpointError(
            f"{folder} mixes two saves: {', '.join(changed[:5])} changed after the manifest was "
            f"written, {len(states) - len(changed)} other files of the checkpoint did not. Save or "
            f"download it again; if the files are meant to be mixed, delete {MANIFEST}."
        )


def _state(path: Path) -> dict[str, Any] | None:
    return {"size": path.stat().st_size, "sha256": fingerprint(path)} if path.is_file() else None


def _commit(folder: Path, staging: Path, obsolete: Sequence[str]) -> None:
    names = sorted(_files(staging))
    for name in names:
        _flush(staging / name)
    old = {}
    with contextlib.suppress(CheckpointError):  # a damaged manifest is replaced
        old = _saved_states(folder)
    new = {name: _state(staging / name) for name in names}
    with _locked(folder):
        removed = sorted(
            path.name
            for path in folder.iterdir()
            if path.name not in new and any(fnmatch(path.name, pattern) for pattern in obsolete)
        )
        kept = {name: state for name, state in old.items() if name not in removed}
        atomic_write(staging / MANIFEST, json.dumps({"version": 1, "files": kept | new}, indent=1))
        journal = {"staging": staging.name, "files": [*names, MANIFEST], "remove": removed}
        atomic_write(staging / JOURNAL, json.dumps(journal))
        os.replace(staging / JOURNAL, folder / JOURNAL)
        _flush_folder(folder)
        _roll_forward(folder)


def _saved_states(folder: Path) -> dict[str, Any]:
    """What the manifest says of each file."""
    path = folder / MANIFEST
    states = read_json_object(path, error=CheckpointError).get("files") if path.exists() else {}
    if not isinstance(states, dict):
        raise CheckpointError(f"{path} is damaged: it lists no files. Delete it, or save again.")
    return states


def _roll_forward(folder: Path) -> None:
    if not (folder / JOURNAL).exists():
        return
    staging, moved, removed = _read_journal(folder)
    for source, target in moved:
        target.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # moved before the interruption
            os.replace(source, target)
    for path in removed:
        path.unlink(missing_ok=True)
    _flush_folder(folder)
    (folder / JOURNAL).unlink()
    shutil.rmtree(staging, ignore_errors=True)


def _read_journal(folder: Path) -> tuple[Path, list[tuple[Path, Path]], list[Path]]:
    """The staging folder, what moves from it to where, and what is removed; nothing outside."""
    where = str(folder / JOURNAL)
    journal = read_json_object(where, error=CheckpointError)
    name, files, removed = (journal.get(key) for key in ("staging", "files", "remove"))
    if (
        not (isinstance(name, str) and name.startswith(STAGING_PREFIX) and "/" not in name)
        or not isinstance(files, list)
        or not isinstance(removed, list)
    ):
        raise CheckpointError(f"{where} is damaged. Delete it, and save or download again.")
    staging = safe_join(folder, name, where=where)
    moved = [
        (safe_join(staging, file, where=where), safe_join(folder, file, where=where))
        for file in files
    ]
    return staging, moved, [safe_join(folder, file, where=where) for file in removed]


def _sweep(folder: Path) -> None:
    """Remove what killed saves left; a living one holds a lock on its staging folder."""
    for leftover in folder.glob(f"{STAGING_PREFIX}*"):
        with contextlib.suppress(BlockingIOError), _locked(leftover, wait=False):
            shutil.rmtree(leftover, ignore_errors=True)
    _sweep_temporary(folder, ".")


def _sweep_temporary(folder: Path, prefix: str) -> None:
    for name in os.listdir(folder):
        if not (name.startswith(prefix) and name.endswith(TEMPORARY)):
            continue
        leftover = folder / name
        with contextlib.suppress(FileNotFoundError):
            if time.time() - leftover.stat().st_mtime > ABANDONED_SECONDS:
                leftover.unlink()


@contextlib.contextmanager
def _locked(folder: Path, *, wait: bool = True, shared: bool = False) -> Iterator[None]:
    if fcntl is None:
        yield
        return
    kind = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, kind)
        except OSError as failure:
            if failure.errno not in NO_LOCKS:
                raise
        yield
    finally:
        os.close(handle)


def _files(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _flush_folder(folder: Path) -> None:
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

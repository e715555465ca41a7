"""Locating the files of a model: in a local folder, in the shared cache, or on the Hub.

The Hub is reached through `huggingface_hub` alone, so ``HF_HOME``, ``HF_HUB_OFFLINE``,
``HF_ENDPOINT`` and ``HF_TOKEN`` mean what they mean everywhere. The order is: a local folder; the
cache, where the revision is a commit or the Hub may not be asked; the Hub, asked once and for a
bounded time, after which whatever the cache holds is used with a warning that says so.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dovetail.atomic import atomic_write, published_folder
from dovetail.errors import DovetailError, HubError, near_matches
from dovetail.logging import get_logger
from dovetail.paths import safe_join
from dovetail.pushing import PushToHubMixin, first_line

__all__ = [
    "PushToHubMixin",
    "atomic_write",
    "cached_file",
    "cached_files",
    "commit_of",
    "has_file",
    "published_folder",
    "safe_join",
]

logger = get_logger(__name__)

COMMIT = re.compile(r"[0-9a-f]{40}")
SILENCE_SECONDS = 60.0
"""For how long a Hub that did not answer is not asked again about files that are cached."""
SLOW_SECONDS = 3.0
"""How long one answer may take before the Hub counts as too slow to be asked about every file."""
PARALLEL_DOWNLOADS = 4

_unreachable: dict[str, float] = {}
"""Endpoints that did not answer, with the time until which they are left alone."""
_slow: dict[str, float] = {}
"""The same for endpoints that answered slowly; about files that are not cached they are asked."""
_reached: set[str] = set()
"""Endpoints that have answered: a first contact is bounded by us, later ones by the client."""
_warned: set[tuple[str, str]] = set()


class _Absent(Exception):
    """The repository or folder is there, and the file is not in it."""


@dataclass(frozen=True)
class _Wanted:
    """A file of a Hub repository at a revision."""

    repo: str
    filename: str
    revision: str
    cache_dir: str | None
    token: str | bool | None
    repo_type: str

    @property
    def pinned(self) -> bool:
        return COMMIT.fullmatch(self.revision) is not None

    def __str__(self) -> str:
        return f"{self.repo} (file {self.filename}, revision {self.revision})"


def cached_file(
    path_or_repo: str | os.PathLike[str],
    filename: str,
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    force_download: bool = False,
    token: str | bool | None = None,
    revision: str | None = None,
    local_files_only: bool = False,
    subfolder: str = "",
    repo_type: str | None = None,
    commit_hash: str | None = None,
    raise_on_missing: bool = True,
) -> str | None:
    """The path of a file on this machine, fetched from the Hub if need be.

    `path_or_repo` is a folder or a Hub id. `commit_hash`, the commit that an earlier file of the
    same load came from (see `commit_of`), keeps the files of one load together. With
    ``raise_on_missing=False`` a file that is not there is None; everything else still raises.

    Raises:
        HubError: the folder, repository, revision or file does not exist, access is refused, or the
            Hub cannot be reached and the cache does not hold the file. It says which.
    """
    try:
        if os.path.isdir(path_or_repo):
            return _in_folder(Path(path_or_repo), filename, subfolder)
        wanted = _Wanted(
            repo=_repo_id(path_or_repo),
            filename=_relative(filename, subfolder),
            revision=commit_hash or revision or "main",
            cache_dir=None if cache_dir is None else os.fspath(cache_dir),
            token=token,
            repo_type=repo_type or "model",
        )
        return _from_hub(wanted, force_download, local_files_only, optional=not raise_on_missing)
    except _Absent as absent:
        if raise_on_missing:
            raise HubError(str(absent)) from absent.__cause__
        return None


def cached_files(
    path_or_repo: str | os.PathLike[str], filenames: Iterable[str], **options: Any
) -> list[str]:
    """The paths of several files, in order, fetched in parallel; `options` as in `cached_file`."""

    def locate(name: str) -> str:
        return str(cached_file(path_or_repo, name, **options))

    names = list(filenames)
    if os.path.isdir(path_or_repo) or len(names) < 2:
        return [locate(name) for name in names]
    with ThreadPoolExecutor(PARALLEL_DOWNLOADS) as pool:
        return list(pool.map(locate, names))


def has_file(path_or_repo: str | os.PathLike[str], filename: str, **options: Any) -> bool:
    """Whether a folder or repository has the file; `options` as in `cached_file`."""
    return cached_file(path_or_repo, filename, **options | {"raise_on_missing": False}) is not None


def commit_of(path: str | os.PathLike[str] | None) -> str | None:
    """The commit that a file of the cache belongs to, None for files elsewhere."""
    found = re.search(r"snapshots/([0-9a-f]{40})/", Path(path or "").as_posix())
    return None if found is None else found.group(1)


# --- local folders ---


def _in_folder(folder: Path, filename: str, subfolder: str) -> str:
    inner = folder / subfolder
    path = safe_join(inner, filename, error=HubError)
    if path.is_file():
        return str(path)
    present = sorted(entry.name for entry in inner.iterdir()) if inner.is_dir() else []
    listing = ", ".join(present[:8]) + (", ..." if len(present) > 8 else "")
    raise _Absent(
        f"{inner} holds no file {filename!r}.{near_matches(filename, present)} "
        f"It holds: {listing or 'nothing'}."
    )


def _repo_id(path: str | os.PathLike[str]) -> str:
    repo = os.fspath(path)
    if os.path.isfile(repo):
        raise HubError(f"{repo} is a file where a folder or a Hub id is needed.")
    if not re.fullmatch(r"[\w][\w.-]*(/[\w.-]+)?", repo) or ".." in repo or "--" in repo:
        raise HubError(
            f"{repo!r} is no folder on this machine, and no id of the form 'name' or "
            "'organization/name' on the Hub either. Check the path."
        )
    return repo


def _relative(filename: str, subfolder: str) -> str:
    name = f"{subfolder.strip('/')}/{filename}" if subfolder else filename
    safe_join("repository", name, error=HubError)
    return name


# --- the cache and the Hub ---


def _from_hub(wanted: _Wanted, force: bool, local_only: bool, *, optional: bool) -> str:
    from huggingface_hub import constants

    cached = None if force else _from_cache(wanted)
    if cached is not None and (wanted.pinned or local_only):
        return cached
    if local_only or constants.HF_HUB_OFFLINE:
        if cached is not None:
            return cached
        if force:
            raise HubError(
                f"{wanted} cannot be downloaded anew: the Hub may not be asked (HF_HUB_OFFLINE or "
                "local_files_only). Leave out force_download, or allow the network."
            )
        raise _not_cached(wanted, optional)
    if cached is not None and (_within(_unreachable) or _within(_slow)):
        return cached
    if cached is None and _within(_unreachable) and _may_be_absent(wanted, optional):
        raise _Absent(f"{wanted} is not in the cache, and the Hub cannot be asked.")
    try:
        return _ask(wanted, cached, force)
    except _Unanswered as failure:
        return _fall_back(wanted, cached, failure, optional)


def _from_cache(wanted: _Wanted) -> str | None:
    """The cached file; `_Absent` is raised when a pinned commit is known not to have it."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(
        wanted.repo,
        wanted.filename,
        cache_dir=wanted.cache_dir,
        revision=wanted.revision,
        repo_type=wanted.repo_type,
    )
    if isinstance(found, str):
        return found
    if found is not None and wanted.pinned:
        raise _Absent(f"{wanted} does not exist on the Hub.")
    return None


class _Unanswered(Exception):
    """The Hub did not answer, or not with what was asked for, and may well have the file."""


def _ask(wanted: _Wanted, cached: str | None, force: bool) -> str:
    """Ask the Hub for the newest state of the file, and fetch it unless it is the cached one."""
    from huggingface_hub import constants, hf_hub_download

    if (cached is not None or constants.ENDPOINT not in _reached) and _is_newest(wanted, cached):
        return str(cached)
    return _explained(
        lambda: hf_hub_download(
            wanted.repo,
            wanted.filename,
            repo_type=wanted.repo_type,
            revision=wanted.revision,
            cache_dir=wanted.cache_dir,
            token=wanted.token,
            force_download=force,
            library_name="dovetail",
        ),
        wanted,
    )


def _is_newest(wanted: _Wanted, cached: str | None) -> bool:
    """Whether the cached file is the one that the Hub has now."""
    from huggingface_hub import constants, hf_hub_url

    endpoint, started = constants.ENDPOINT, time.monotonic()
    url = hf_hub_url(
        wanted.repo, wanted.filename, repo_type=wanted.repo_type, revision=wanted.revision
    )
    try:
        commit = _explained(lambda: _commit_at(url, wanted.token), wanted)
    except _Absent:  # the download that follows says so too, and remembers it in the cache
        return False
    _reached.add(endpoint)
    _unreachable.pop(endpoint, None)
    seconds = time.monotonic() - started
    if seconds > SLOW_SECONDS:
        _slow[endpoint] = time.monotonic() + SILENCE_SECONDS
        logger.warning(
            "%s took %.1f seconds to answer. For %d seconds, cached files are used unchecked.",
            endpoint,
            seconds,
            SILENCE_SECONDS,
        )
    return commit is not None and commit == commit_of(cached)


def _commit_at(url: str, token: str | bool | None) -> str | None:
    """The commit that serves `url`; takes at most ``HF_HUB_ETAG_TIMEOUT`` seconds in all."""
    from huggingface_hub import constants, get_hf_file_metadata

    answer: list[Any] = []

    def ask() -> None:
        try:
            answer.append(get_hf_file_metadata(url, token=token, library_name="dovetail"))
        except Exception as failure:
            answer.append(failure)

    limit = constants.HF_HUB_ETAG_TIMEOUT
    thread = threading.Thread(target=ask, daemon=True, name="dovetail-hub")
    thread.start()
    thread.join(limit)
    if not answer:
        raise TimeoutError(f"no answer within {limit} seconds")
    if isinstance(answer[0], Exception):
        raise answer[0]
    if answer[0].commit_hash is None:
        raise ConnectionError("the answer is not that of a Hub (no commit in its headers)")
    return answer[0].commit_hash


def _explained(call: Callable[[], Any], wanted: _Wanted) -> Any:
    """Run a call of the client, and turn its many errors into ours."""
    from huggingface_hub import constants, errors

    place = f"{constants.ENDPOINT}/{wanted.repo}"
    try:
        return call()
    except errors.GatedRepoError as failure:
        raise _Refused(
            f"{wanted.repo} is gated: access must be granted first. Ask for it at {place}, then "
            "log "
            "in with `hf auth login`, set HF_TOKEN, or pass token=..."
        ) from failure
    except errors.RepositoryNotFoundError as failure:
        raise _Refused(
            f"{wanted.repo} is neither a folder on this machine nor a repository at {place} that "
            "you can see. Check the name; if it is private, log in with `hf auth login`, set "
            "HF_TOKEN, or pass token=..."
        ) from failure
    except errors.RevisionNotFoundError as failure:
        raise HubError(
            f"{wanted.repo} has no revision {wanted.revision!r}. See its branches, tags and "
            f"commits at {place}/commits/main."
        ) from failure
    except errors.LocalEntryNotFoundError as failure:
        raise _Unanswered(first_line(failure.__cause__ or failure)) from failure
    except errors.EntryNotFoundError as failure:
        raise _Absent(
            f"{wanted.repo} has no file {wanted.filename!r} at revision {wanted.revision!r}. "
            f"See its files at {place}/tree/{wanted.revision}."
        ) from failure
    except errors.HFValidationError as failure:
        raise HubError(f"{wanted.repo!r} is no id of a repository: {failure}") from failure
    except (DovetailError, KeyboardInterrupt):
        raise
    except Exception as failure:
        raise _Unanswered(first_line(failure.__cause__ or failure)) from failure


class _Refused(_Unanswered):
    """The Hub answered that this caller may not see the repository, or that there is none."""


def _fall_back(wanted: _Wanted, cached: str | None, failure: _Unanswered, optional: bool) -> str:
    """The cached file, with a warning; or the reason why there is nothing to load."""
    from huggingface_hub import constants

    if isinstance(failure, _Refused):
        if cached is None:
            raise HubError(str(failure)) from failure.__cause__
        what = str(failure)
    else:
        _unreachable[constants.ENDPOINT] = time.monotonic() + SILENCE_SECONDS
        _reached.discard(constants.ENDPOINT)
        what = f"{constants.ENDPOINT} could not be asked about {wanted.repo} ({failure})."
    if cached is None and not _may_be_absent(wanted, optional):
        raise HubError(
            f"{what} {wanted.filename!r} of revision {wanted.revision!r} is not in the cache "
            f"({_cache_dir(wanted)}) either.{_other_commits(wanted)} Check the connection, "
            "HF_ENDPOINT and proxy settings."
        ) from failure.__cause__
    if (wanted.repo, wanted.revision) not in _warned:
        _warned.add((wanted.repo, wanted.revision))
        known = commit_of(cached) or "unknown"
        logger.warning(
            "%s Using the cached files of revision %r (commit %s); files that are not cached are "
            "taken as absent.",
            what,
            wanted.revision,
            known,
        )
    if cached is None:
        raise _Absent(f"{wanted} is not in the cache, and the Hub cannot be asked.")
    return cached


def _within(times: dict[str, float]) -> bool:
    """Whether the time noted for the present endpoint is still to come."""
    from huggingface_hub import constants

    return time.monotonic() < times.get(constants.ENDPOINT, 0.0)


def _may_be_absent(wanted: _Wanted, optional: bool) -> bool:
    """Whether an optional file may count as absent: only where the revision is otherwise cached."""
    return optional and _snapshot(wanted) is not None


def _not_cached(wanted: _Wanted, optional: bool) -> Exception:
    if _may_be_absent(wanted, optional):
        return _Absent(f"{wanted} is not in the cache.")
    return HubError(
        f"{wanted} is not in the cache ({_cache_dir(wanted)}), and the Hub may not be asked "
        f"(HF_HUB_OFFLINE or local_files_only).{_other_commits(wanted)} Run once with network, for "
        f"instance `dovetail download {wanted.repo}`."
    )


def _cache_dir(wanted: _Wanted) -> str:
    from huggingface_hub import constants

    return wanted.cache_dir or constants.HF_HUB_CACHE


def _repo_folder(wanted: _Wanted) -> Path:
    return Path(_cache_dir(wanted), f"{wanted.repo_type}s--" + wanted.repo.replace("/", "--"))


def _snapshot(wanted: _Wanted) -> Path | None:
    """The folder of the cache which holds the wanted revision."""
    folder = _repo_folder(wanted)
    ref = folder / "refs" / wanted.revision
    commit = ref.read_text().strip() if ref.is_file() else wanted.revision
    snapshot = folder / "snapshots" / commit
    return snapshot if COMMIT.fullmatch(commit) and snapshot.is_dir() else None


def _other_commits(wanted: _Wanted) -> str:
    """A hint at other cached revisions that hold the file."""
    snapshots = sorted((_repo_folder(wanted) / "snapshots").glob(f"*/{wanted.filename}"))
    commits = sorted({commit for commit in map(commit_of, snapshots) if commit})
    return f" Cached is revision={commits[0]!r}: pass that to use it." if commits else ""

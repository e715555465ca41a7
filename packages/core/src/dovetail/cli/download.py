"""``dovetail download REPO [PATTERN...]``: fill the cache ahead of time, without loading
anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatch
from typing import Any

import click

from dovetail.errors import HubError, near_matches
from dovetail.hub import cached_file, cached_files, commit_of

OTHER_WEIGHTS = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack", "*.ot", "*.tflite")
OTHER_RUNTIMES = (
    "*.onnx",
    "*.onnx_data",
    "*.gguf",
    "*.mlmodel",
    "onnx/*",
    "openvino/*",
    "coreml/*",
)


@click.command()
@click.argument("repo")
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...")
@click.option("--revision", help="Branch, tag or commit on the Hub.")
@click.option(
    "--repo-type",
    type=click.Choice(("model", "dataset", "space")),
    default="model",
    show_default=True,
    help="What kind of repository it is.",
)
@click.option("--all", "everything", is_flag=True, help="Every file, all formats of the weights.")
@click.option("--cache-dir", type=click.Path(file_okay=False), help="Cache to fill.")
@click.option("--force", is_flag=True, help="Fetch anew what is there already.")
def download(
    repo: str,
    patterns: tuple[str, ...],
    revision: str | None,
    repo_type: str,
    everything: bool,
    cache_dir: str | None,
    force: bool,
) -> None:
    """Fetch the repository REPO of the Hub into the cache and print the folder it is in.

    PATTERN ("*.json") narrows the files. Without one, weights in other formats are left out where
    the repository has safetensors. An interrupted download goes on where it stopped.
    """
    options: dict[str, Any] = {
        "revision": revision,
        "repo_type": repo_type,
        "cache_dir": cache_dir,
    }
    # This first file settles the commit and explains a repository that is not there.
    known = cached_file(repo, "config.json", raise_on_missing=False, **options)
    commit = commit_of(known)
    names = repository_files(repo, commit or revision, repo_type)
    wanted = names if everything else chosen(names, patterns)
    if not wanted:
        sought = " ".join(patterns)
        near = near_matches(sought, names)
        raise click.UsageError(f"No file of {repo} matches {sought!r}.{near}")
    paths = cached_files(repo, wanted, commit_hash=commit, force_download=force, **options)
    click.echo(f"{len(paths)} files of {repo} are in the cache.", err=True)
    click.echo(snapshot(paths[0], wanted[0]))


def repository_files(repo: str, revision: str | None, repo_type: str) -> list[str]:
    """The names of all files of a repository.

    Raises:
        HubError: the Hub did not answer.
    """
    from huggingface_hub import HfApi

    try:
        return HfApi().list_repo_files(repo, revision=revision, repo_type=repo_type)
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise HubError(
            f"The files of {repo} could not be listed ({type(error).__name__}: {reason}). "
            "Check the connection, HF_ENDPOINT and HF_HUB_OFFLINE."
        ) from error


def chosen(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """Those of `names` that match a pattern or, without patterns, that Dovetail would load."""
    if patterns:
        return [name for name in names if any(fnmatch(name, pattern) for pattern in patterns)]
    safe = any(name.endswith(".safetensors") for name in names)
    unwanted = (*OTHER_RUNTIMES, *(OTHER_WEIGHTS if safe else ()))
    return [name for name in names if not any(fnmatch(name, pattern) for pattern in unwanted)]


def snapshot(path: str, name: str) -> str:
    """The folder that holds the file `name` of a repository at `path`."""
    return path[: -len(name)].rstrip("/\\")

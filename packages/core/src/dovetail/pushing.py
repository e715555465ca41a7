"""Uploading what was saved: `push_to_hub` for everything that has a `save_pretrained`."""

from __future__ import annotations

import inspect
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dovetail.atomic import PRIVATE_FILES
from dovetail.errors import DovetailError, HubError

UPLOAD_OPTIONS = (
    "repo_id",
    "commit_message",
    "private",
    "token",
    "create_pr",
    "revision",
    "commit_description",
    "tags",
)


class PushToHubMixin:
    """`push_to_hub` for a class that has `save_pretrained`."""

    def push_to_hub(
        self,
        repo_id: str,
        use_temp_dir: bool | None = None,
        commit_message: str | None = None,
        private: bool | None = None,
        token: bool | str | None = None,
        max_shard_size: int | str | None = "5GB",
        create_pr: bool = False,
        safe_serialization: bool = True,
        revision: str | None = None,
        commit_description: str | None = None,
        tags: list[str] | None = None,
    ) -> Any:
        """Save and upload as one commit to the repository `repo_id`, which is made if need be.

        The folder is a temporary one, unless a folder named like the repository exists or
        `use_temp_dir` is False. Returns the client's ``CommitInfo``.
        """
        name = repo_id.split("/")[-1]
        options = {"max_shard_size": max_shard_size, "safe_serialization": safe_serialization}
        save = self.save_pretrained  # type: ignore[attr-defined]
        known = inspect.signature(save).parameters
        open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())
        accepted = {key: value for key, value in options.items() if open_ended or key in known}
        temporary = not os.path.isdir(name) if use_temp_dir is None else use_temp_dir
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder if temporary else name)
            save(place, **accepted)
            return self._upload_folder(
                place,
                repo_id=repo_id,
                commit_message=commit_message,
                private=private,
                token=token,
                create_pr=create_pr,
                revision=revision,
                commit_description=commit_description,
                tags=tags,
            )

    def _upload_folder(
        self,
        folder: str | os.PathLike[str],
        files: Sequence[str] | None = None,
        *,
        repo_id: str | None = None,
        commit_message: str | None = None,
        private: bool | None = None,
        token: bool | str | None = None,
        create_pr: bool = False,
        revision: str | None = None,
        commit_description: str | None = None,
        tags: Iterable[str] | None = None,
    ) -> Any:
        """Upload `folder`, or `files` of it, as one commit to `repo_id` (default: its name)."""
        from huggingface_hub import HfApi

        api = HfApi(library_name="dovetail", token=token)
        repo = repo_id or Path(folder).resolve().name
        try:
            repo = api.create_repo(repo, private=private, exist_ok=True).repo_id
            if revision is not None and not revision.startswith("refs/pr"):
                api.create_branch(repo, branch=revision, exist_ok=True)
            if tags:
                _tag(Path(folder), repo, tags, token)
            return api.upload_folder(
                repo_id=repo,
                folder_path=str(folder),
                commit_message=commit_message or f"Upload {_kind(self)}",
                commit_description=commit_description,
                revision=revision,
                create_pr=create_pr,
                allow_patterns=None if files is None else [*files, "README.md"],
                ignore_patterns=list(PRIVATE_FILES),
            )
        except DovetailError:
            raise
        except Exception as failure:
            raise HubError(
                f"{folder} could not be uploaded to {repo!r} ({first_line(failure)}). "
                "It is saved on this machine; check the token's right to write and try again."
            ) from failure


def first_line(failure: BaseException) -> str:
    """What the client says went wrong, without its paragraphs of advice."""
    text = str(failure).strip()
    return f"{type(failure).__name__}: {text.splitlines()[0] if text else 'no details'}"


def _kind(saved: object) -> str:
    """What a commit message calls the object: "model", "config", "tokenizer" ..."""
    words = ("Config", "Tokenizer", "ImageProcessor", "FeatureExtractor", "Processor", "Pipeline")
    names = [base.__name__ for base in type(saved).__mro__]
    found = next((word for word in words if any(word in name for name in names)), "model")
    return "".join(f" {c.lower()}" if c.isupper() else c for c in found).strip()


def _tag(folder: Path, repo: str, tags: Iterable[str], token: bool | str | None) -> None:
    """Add `tags` to the model card in `folder`, at first the repository's own if it has one."""
    from huggingface_hub import ModelCard, ModelCardData
    from huggingface_hub.errors import EntryNotFoundError

    path = folder / "README.md"
    try:
        card = ModelCard.load(
            path if path.is_file() else repo, token=None if isinstance(token, bool) else token
        )
    except (EntryNotFoundError, FileNotFoundError):
        card = ModelCard(f"---\n{ModelCardData(library_name='dovetail').to_yaml()}\n---\n")
    card.data.tags = list(dict.fromkeys([*(card.data.tags or []), *tags]))
    card.save(path)

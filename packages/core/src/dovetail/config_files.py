"""Finding and reading ``config.json``, and what of it may be believed."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from typing import Any

from packaging.version import InvalidVersion, Version

from dovetail.config_values import CALLERS_CHOICE, CONFIG_NAME, FORMAT_VERSION
from dovetail.errors import ConfigError
from dovetail.json_files import read_json_object

FETCHING = ("cache_dir", "force_download", "local_files_only", "token", "revision", "subfolder")
OBSOLETE = (
    "use_auth_token",
    "proxies",
    "resume_download",
    "trust_remote_code",
    "code_revision",
    "gguf_file",
)


def read(
    path_or_repo: str | os.PathLike[str], arguments: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The values of the config at a folder, file or Hub id, and the arguments left over."""
    from dovetail import hub

    rest = dict(arguments)
    fetching = {name: rest.pop(name) for name in FETCHING if rest.get(name) is not None}
    if rest.get("use_auth_token") and "token" not in fetching:
        fetching["token"] = rest["use_auth_token"]
    for name in (*FETCHING, *OBSOLETE):
        rest.pop(name, None)
    name = rest.pop("_configuration_file", CONFIG_NAME)
    source = os.fspath(path_or_repo)
    found = source if os.path.isfile(source) else hub.cached_file(source, name, **fetching)
    values = without_callers_choice(read_json_object(str(found)))
    versioned = _for_this_format(values.get("configuration_files"), str(found))
    if versioned is not None and not os.path.isfile(source):
        found = hub.cached_file(source, versioned, **fetching)
        values = without_callers_choice(read_json_object(str(found)))
    values["_commit_hash"] = rest.pop("_commit_hash", None) or hub.commit_of(str(found))
    return values, rest


def without_callers_choice(config_dict: Mapping[str, Any]) -> dict[str, Any]:
    """A copy without what a file may not choose, in nested objects either."""
    return {
        name: without_callers_choice(value) if isinstance(value, Mapping) else copy.copy(value)
        for name, value in config_dict.items()
        if name not in CALLERS_CHOICE and name != "_commit_hash"
    }


def _for_this_format(names: Any, where: str) -> str | None:
    """Of files such as ``config.4.0.0.json``, the newest that our format can read."""
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{where}: configuration_files={names!r} must be a list of file names.")
    versions = {}
    for name in names:
        if name.startswith("config.") and name.endswith(".json") and name != CONFIG_NAME:
            try:
                versions[Version(name.removeprefix("config.").removesuffix(".json"))] = name
            except InvalidVersion:
                continue
    fitting = [version for version in versions if version <= Version(FORMAT_VERSION)]
    return versions[max(fitting)] if fitting else None

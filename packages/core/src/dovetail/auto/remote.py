"""Classes that a repository brings as code: used only when the caller says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from dovetail.config_files import FETCHING


@dataclass(frozen=True)
class RemoteCode:
    """The caller's consent to run a repository's code, and the revision it is pinned to."""

    trust: bool | None = None
    code_revision: str | None = None

    FETCHING: ClassVar[tuple[str, ...]] = FETCHING

    @classmethod
    def take(cls, kwargs: dict[str, Any]) -> RemoteCode:
        """The consent in a call's arguments, which are removed from them."""
        return cls(kwargs.pop("trust_remote_code", None), kwargs.pop("code_revision", None))

    @property
    def arguments(self) -> dict[str, Any]:
        """The same consent as arguments of another call."""
        return {"trust_remote_code": self.trust, "code_revision": self.code_revision}

    def find(
        self, name: str, auto_map: Any, source: Any, *, local: bool, **where: Any
    ) -> Any | None:
        """The repository's own class for the auto class `name`; None where ours is to be used.

        Raises:
            RemoteCodeError: only the repository has such a class, and `trust_remote_code` is off.
        """
        reference = auto_map.get(name) if isinstance(auto_map, Mapping) else None
        if isinstance(reference, list | tuple):  # slow and fast tokenizer
            reference = next((one for one in reversed(reference) if one), None)
        if not reference or (local and not self.trust):
            return None
        from dovetail.dynamic import get_class_from_dynamic_module, resolve_trust_remote_code

        resolve_trust_remote_code(self.trust, str(source), local, True)
        found = get_class_from_dynamic_module(
            reference, source, code_revision=self.code_revision, **where
        )
        if hasattr(found, "register_for_auto_class"):
            found.register_for_auto_class(name)  # saving takes the code along
        return found

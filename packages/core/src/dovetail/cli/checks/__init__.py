"""What ``dovetail doctor`` looks at: functions without arguments that return what they found
amiss.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

LEVELS = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One thing that is broken (`error`), slow or half done (`warning`), or good to know (`note`).

    `subject` is what it is about (a package, a plugin, a file, a variable), `remedy` what to do
    about it.
    """

    level: str
    subject: str
    problem: str
    remedy: str

    def record(self) -> dict[str, str]:
        """The JSON form."""
        return asdict(self)

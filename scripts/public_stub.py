"""Write the stub that gives editors and type checkers the names of ``from dovetail import NAME``.

usage: python scripts/public_stub.py [--check]

With `--check` nothing is written; the exit status says whether the stub is out of date. Sections of
official packages that are not installed here are kept as they are.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

from dovetail.discovery import Selection, discover
from dovetail.names import core_modules

STUB = Path(__file__).parents[1] / "packages" / "core" / "src" / "dovetail" / "__init__.pyi"
HEADING = """\
# Written by scripts/public_stub.py (`make docs`); names come from dovetail/names.py and from what
# the official packages declare.

__version__: str
"""


def main() -> int:
    """Write the stub, or with `--check` only say whether it is out of date."""
    text = stub()
    if STUB.exists() and STUB.read_text() == text:
        return 0
    check = "--check" in sys.argv[1:]
    print(f"{'out of date' if check else 'written'}: {STUB}")
    if not check:
        STUB.write_text(text)
    return 1 if check else 0


def stub() -> str:
    """The text that the stub should have."""
    core = {name: f"{module}:{name}" for name, module in core_modules().items()}
    sections = {"dovetail": section(core)} | written_sections() | plugin_sections()
    names = "".join(f'    "{name}",\n' for name in sorted(core))
    parts = [f"\n# {title}\n\n{sections[title]}" for title in sorted(sections)]
    return HEADING + "".join(parts) + f"\n__all__ = [\n{names}]\n"


def section(targets: Mapping[str, str]) -> str:
    """One import per name; the explicit ``as`` makes it a public name of the stub."""
    lines = set()
    for name, target in targets.items():
        module, _, attribute = target.partition(":")
        lines.add(f"from {module} import {attribute} as {name}\n")
    return "".join(sorted(lines))


def plugin_sections() -> dict[str, str]:
    """The names of each installed official package, which no plugin of this machine changes."""
    targets: dict[str, dict[str, str]] = {}
    for plugin, declaration in discover(Selection()).found:
        if plugin.distribution.startswith("dovetail-"):
            targets.setdefault(plugin.distribution, {}).update(declaration.exports)
    return {title: section(names) for title, names in targets.items() if names}


def written_sections() -> dict[str, str]:
    """The sections of the stub as it is."""
    text = STUB.read_text() if STUB.exists() else ""
    return dict(re.findall(r"\n# (dovetail-\S+)\n\n((?:from .+\n)+)", text))


if __name__ == "__main__":
    sys.exit(main())

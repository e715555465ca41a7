"""Write the golden files: ``python scripts/golden/produce.py [model_type | pipelines ...]``.

Runs in the reference library's environment. Each module of ``families`` describes one architecture,
``pipelines`` stands for the tasks; ``make golden`` runs them all. Files of cases that are no longer
described are removed.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pipelines
import torch
import transformers
from cases import ROOT, Family
from record import dump, record, rounded

GOLDEN = ROOT / "tests" / "golden"


def families(names: list[str]) -> list[Family]:
    """The families called `names`, or all of them."""
    folder = Path(__file__).parent / "families"
    known = sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")
    if unknown := sorted(set(names) - set(known)):
        raise SystemExit(
            f"no golden cases are described for {', '.join(unknown)}; known: {', '.join(known)}"
        )
    return [importlib.import_module(f"families.{name}").family for name in names or known]


def defaults(family: Family) -> dict[str, Any]:
    """What the config holds when nothing is given, beyond what every config holds."""
    common = transformers.PretrainedConfig().to_dict()
    own = getattr(transformers, family.config_class)().to_dict()
    return {key: value for key, value in own.items() if key not in common or value != common[key]}


def write(path: Path, content: Any) -> None:
    """Write `content` as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dump(rounded(content)) + "\n")


def produce(family: Family) -> int:
    """Write all files of `family`, remove those it no longer describes; returns their number."""
    folder = GOLDEN / family.package / family.model_type
    write(
        folder / "config.json", {"config_class": family.config_class, "defaults": defaults(family)}
    )
    for case in family.cases:
        write(folder / f"{case.name}.json", json.loads(json.dumps(record(case, family))))
    written = {"config", *(case.name for case in family.cases)}
    for path in folder.glob("*.json"):
        if path.stem not in written:
            path.unlink()
    return len(family.cases)


def main(arguments: list[str]) -> None:
    """Write the golden files of the families named in `arguments`, or of all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", help="model types; all when none is named")
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    names = parser.parse_args(arguments).models
    model_types = [name for name in names if name != pipelines.NAME]
    for family in families(model_types) if model_types or not names else []:
        sys.stdout.write(f"{family.model_type}: {produce(family)} cases\n")
    if not names or pipelines.NAME in names:
        sys.stdout.write(f"{pipelines.NAME}: {pipelines.produce()} checkpoints\n")


if __name__ == "__main__":
    main(sys.argv[1:])

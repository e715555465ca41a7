"""What pickled checkpoints hold beyond safetensors: names of tied tensors, buffers."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from cases import ROOT, Case, Family
from record import build, dump

FILE = ROOT / "tests" / "golden" / "checkpoints" / "pickled.json"


def produce() -> None:
    """Write, for each class, the further names of its ``pytorch_model.bin``."""
    folder = Path(__file__).parent / "families"
    families = [
        importlib.import_module(f"families.{path.stem}").family
        for path in sorted(folder.glob("*.py"))
    ]
    content = {
        f"{family.package}/{family.model_type}/{case.name}": further(case, family)
        for family in families
        for case in family.cases
        if case.name == case.model
    }
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(dump({name: names for name, names in content.items() if names}) + "\n")


def further(case: Case, family: Family) -> dict[str, Any]:
    """Name to the name of the safetensors file that holds the same, or to the shape."""
    model, _, tensors = build(case, family)
    state = model.state_dict()
    holders = {state[name].data_ptr(): name for name in sorted(tensors, reverse=True)}
    return {
        name: holders.get(tensor.data_ptr(), list(tensor.shape))
        for name, tensor in state.items()
        if name not in tensors
    }

"""Write the golden files: ``python scripts/golden/produce.py [model_type | theme ...]``.

Runs in the reference library's environment. Each module of ``families`` describes one architecture,
the themes are audio, blip-processors, caches, checkpoints, ctc, generation, images, pictures and
pipelines (the tasks on pictures and those on texts), processors (of pictures with texts),
sam-prompts and tokenizers; ``make golden`` runs them all. Files of cases that are no longer
described are removed.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from cases import ROOT, Family
from record import dump, record, rounded

GOLDEN = ROOT / "tests" / "golden"


def produce_generation() -> None:
    """Write what ``generate`` does."""
    folder = GOLDEN / "generation"
    importlib.import_module("generation").main(folder)
    importlib.import_module("generation_names").main(folder)
    importlib.import_module("generation_models").main(folder / "models", [])
    importlib.import_module("generation_text").main(folder / "text.json")


THEMES: dict[str, Callable[[], Any]] = {
    "audio": lambda: importlib.import_module("audio").produce(),
    "blip-processors": lambda: importlib.import_module("blip_processors").produce(),
    "caches": lambda: importlib.import_module("caches").produce(),
    "checkpoints": lambda: importlib.import_module("checkpoints").produce(),
    "ctc": lambda: importlib.import_module("ctc").produce(),
    "generation": produce_generation,
    "images": lambda: importlib.import_module("image_processors").produce(),
    "pipelines": lambda: importlib.import_module("pipelines").produce(),
    "pictures": lambda: importlib.import_module("pipelines").produce_vision(),
    "processors": lambda: importlib.import_module("picture_processors").produce(),
    "sam-prompts": lambda: importlib.import_module("sam_prompts").produce(),
    "tokenizers": lambda: importlib.import_module("tokenization").produce(),
}


def known() -> list[str]:
    """The model types and themes that have golden files."""
    folder = Path(__file__).parent / "families"
    return [*sorted(path.stem for path in folder.glob("*.py")), *THEMES]


def defaults(family: Family) -> dict[str, Any] | None:
    """What the config holds when nothing is given, beyond what every config holds; None where
    something must be given."""
    common = transformers.PretrainedConfig().to_dict()
    try:
        own = getattr(transformers, family.config_class)().to_dict()
    except ValueError:
        return None
    for value in own.values():
        if isinstance(value, dict):  # a note to the library itself, of which files have none
            value.pop("_attn_implementation_autoset", None)
    return {
        key: value
        for key, value in own.items()
        if not (key.startswith("_") or key == "transformers_version")
        and (key not in common or value != common[key])
    }


def arguments(family: Family) -> dict[str, Any]:
    """The config's positional arguments in order, with their defaults."""
    parameters = inspect.signature(getattr(transformers, family.config_class).__init__).parameters
    return {
        name: parameter.default
        for name, parameter in list(parameters.items())[1:]
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    }


def write(path: Path, content: Any) -> None:
    """Write `content` as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dump(rounded(content)) + "\n")


def produce(family: Family) -> None:
    """Write all files of `family` and remove those it no longer describes."""
    folder = GOLDEN / family.package / family.model_type
    content = {
        "config_class": family.config_class,
        "arguments": arguments(family),
        "defaults": defaults(family),
    }
    write(folder / "config.json", content)
    if family.prepare is not None:
        family.prepare()
    for case in family.cases:
        write(folder / f"{case.name}.json", json.loads(json.dumps(record(case, family))))
    written = {"config", *(case.name for case in family.cases)}
    for path in folder.glob("*.json"):
        if path.stem not in written:
            path.unlink()


def main(arguments: list[str]) -> None:
    """Write the golden files of the model types and themes named in `arguments`, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help=f"{', '.join(known())}; all when none is named")
    names = parser.parse_args(arguments).names or known()
    if unknown := sorted(set(names) - set(known())):
        parser.error(f"nothing is described for {', '.join(unknown)}")
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    for name in names:
        if name in THEMES:
            THEMES[name]()
        else:
            produce(importlib.import_module(f"families.{name}").family)
        sys.stdout.write(f"{name}: done\n")


if __name__ == "__main__":
    main(sys.argv[1:])

"""What a family says of an original layout: files, names, settings. Data, not a script.

>>> from dovetail.converting import Layout, Renames, TorchFiles
>>> ACME = Layout(
...     architecture="AcmeForCausalLM",
...     storage=TorchFiles("*.pt", "model.pt", state=("model",), settings_file="params.json"),
...     steps=(Renames({"emb": "model.embed_tokens.weight", "h*.up": "model.layers.*.up.weight"}),),
...     fields={"dim": "hidden_size", "n_layers": "num_hidden_layers"},
... )
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dovetail.converting.files import Files
from dovetail.converting.steps import name_pattern
from dovetail.converting.storage import Original, Settings, Storage
from dovetail.errors import CheckpointError
from dovetail.mapping import Step, Tensors

Steps = Sequence[Step] | Callable[[Any], Sequence[Step]]
Shape = tuple[int, ...]


class Shapes(Mapping[str, Shape]):
    """The shapes of an original's tensors, from which a config can be inferred."""

    def __init__(self, tensors: Tensors) -> None:
        self._tensors = tensors

    def __getitem__(self, name: str) -> Shape:
        if name not in self._tensors:
            raise CheckpointError(
                f"The original lacks the tensor {name!r}, from which its sizes are read. It is not "
                "of this layout, or files are missing."
            )
        return tuple(self._tensors[name].shape)

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def __iter__(self) -> Any:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def count(self, pattern: str) -> int:
        """How many names `pattern` (with ``*``) matches: the number of layers, of experts."""
        regex = name_pattern(pattern)
        return sum(regex.fullmatch(name) is not None for name in self._tensors)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """An original layout of one architecture, both ways.

    `architecture` is the class whose tensors the result holds. `steps` lead from the original's
    tensors to the Hub's, possibly depending on the config. `fields` maps settings of the original
    (``"moe.num_experts"`` for nested ones) to fields of the config, `optional` those which it may
    lack; `constants` are fields that all originals of the layout have. What takes computing,
    `infer` makes of settings, shapes and the fields known so far, and `restore` of a config for the
    settings.

    `marks` are names of tensors (with wildcards) and `keys` settings by which an original of this
    layout is told from others, `strangers` names of tensors or settings that it cannot hold. Of
    tensors that are one in the model `copies` says under which names, which may have wildcards, the
    original holds them. `ignored` are those of its tensors that no model needs. `files` maps
    further files, such as a tokenizer's, to the Hub's names, or to a `TextFile` that is written
    otherwise there.
    """

    architecture: str
    storage: Storage
    steps: Steps
    fields: Mapping[str, str] = field(default_factory=dict)
    optional: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)
    infer: Callable[[Settings, Shapes, Mapping[str, Any]], Mapping[str, Any]] | None = None
    restore: Callable[[Any], Mapping[str, Any]] | None = None
    marks: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    strangers: tuple[str, ...] = ()
    copies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    files: Files = field(default_factory=dict)

    def recognises(self, original: Original) -> bool:
        """Whether `original` is of this layout, from its names alone."""
        shapes = Shapes(original.tensors)
        known = original.settings
        return (
            all(shapes.count(mark) for mark in self.marks)
            and not any(shapes.count(name) or name in known for name in self.strangers)
            and (not known or all(lookup(known, key) is not None for key in self.keys))
        )

    def steps_for(self, config: Any) -> Sequence[Step]:
        """The steps for a config."""
        return self.steps(config) if callable(self.steps) else self.steps

    def weights(self, original: Original) -> Tensors:
        """The original's tensors without the ignored."""
        unwanted = [name_pattern(pattern) for pattern in self.ignored]
        return {
            name: tensor
            for name, tensor in original.tensors.items()
            if not any(regex.fullmatch(name) for regex in unwanted)
        }

    def config_values(self, original: Original, given: dict[str, Any]) -> dict[str, Any]:
        """The fields of the config for `original`; `given` ones win.

        Raises:
            CheckpointError: a setting is missing and neither inferred nor given.
        """
        values = dict(self.constants)
        for key, name in {**self.fields, **self.optional}.items():
            if (value := lookup(original.settings, key)) is not None:
                values[name] = value
        missing = [key for key, name in self.fields.items() if name not in {*values, *given}]
        if missing:
            where = self.storage.settings_file or "the settings inside its files"
            raise CheckpointError(
                f"{where} of the original lacks {', '.join(missing)}. Supply the file, or give "
                f"the fields of the config: {', '.join(self.fields[key] for key in missing)}."
            )
        values |= given
        if self.infer is not None:
            values |= self.infer(original.settings, Shapes(original.tensors), values)
        return values | given

    def copied(self, owner: str, guests: Sequence[str]) -> list[str]:
        """The names of the model's tensor `owner`, which is tied to `guests`, in the original."""
        kept = [
            name_pattern(copy)
            for pattern, names in self.copies.items()
            if name_pattern(pattern).fullmatch(owner)
            for copy in names
        ]
        return [name for name in (owner, *guests) if any(one.fullmatch(name) for one in kept)]

    def settings(self, config: Any) -> Settings:
        """The original's settings for a config."""
        result: Settings = {}
        for key, name in {**self.fields, **self.optional}.items():
            value = getattr(config, name, None)
            if value is not None:
                store(result, key, value)
        return result | dict(self.restore(config) if self.restore is not None else {})


def lookup(settings: Mapping[str, Any], key: str) -> Any:
    """The setting ``"a.b"``, or None."""
    value: Any = settings
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def store(settings: Settings, key: str, value: Any) -> None:
    """Set the setting ``"a.b"``."""
    *outer, last = key.split(".")
    for part in outer:
        settings = settings.setdefault(part, {})
    settings[last] = value


def listed(names: Sequence[str], limit: int = 5) -> str:
    """The first names, and how many there are more."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return re.sub(r"\s+", " ", ", ".join(names[:limit])) + more

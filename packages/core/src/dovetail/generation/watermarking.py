"""Settings of a watermark in generated text (arXiv:2306.04634)."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dovetail.errors import GenerationError
from dovetail.generation.checks import POSITIVE, REAL, WHOLE, Check

_SHARE = Check("a number between 0 and 1", lambda value: REAL.holds(value) and 0 < value < 1)
_SCHEME = Check("'lefthash' or 'selfhash'", lambda value: value in ("lefthash", "selfhash"))


@dataclass
class WatermarkingConfig:
    """How text is marked: at each step a share `greenlist_ratio` of the vocabulary, which the last
    `context_width` tokens and `hashing_key` choose, gains `bias`.

    ``"selfhash"`` lets the choice depend on the token itself as well, ``"lefthash"`` on those
    before it alone. Raises `GenerationError` for values out of range.
    """

    greenlist_ratio: float = 0.25
    bias: float = 2.0
    hashing_key: int = 15485863
    seeding_scheme: str = "lefthash"
    context_width: int = 1

    def __post_init__(self) -> None:
        self.validate()

    def validate(self) -> None:
        """Raise `GenerationError` for a value out of its range."""
        _SHARE("greenlist_ratio", self.greenlist_ratio)
        REAL("bias", self.bias)
        WHOLE("hashing_key", self.hashing_key)
        _SCHEME("seeding_scheme", self.seeding_scheme)
        POSITIVE("context_width", self.context_width)

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> WatermarkingConfig:
        """Make settings of a dictionary, overridden by `kwargs`."""
        settings = {**config_dict, **kwargs}
        if unknown := settings.keys() - cls.__dataclass_fields__.keys():
            raise GenerationError(
                f"watermarking_config has {', '.join(sorted(unknown))}: "
                f"its settings are {', '.join(cls.__dataclass_fields__)}"
            )
        return cls(**settings)

    def to_dict(self) -> dict[str, Any]:
        """The settings by name."""
        return asdict(self)

    def to_json_string(self) -> str:
        """The settings as JSON."""
        return json.dumps(self.to_dict(), indent=2) + "\n"

    def to_json_file(self, json_file_path: str | os.PathLike[str]) -> None:
        """Write the settings to a file."""
        Path(json_file_path).write_text(self.to_json_string(), encoding="utf-8")

    def update(self, **kwargs: Any) -> None:
        """Change settings; those unknown are left alone."""
        for name in kwargs.keys() & self.__dataclass_fields__.keys():
            setattr(self, name, kwargs[name])
        self.validate()

    def construct_processor(self, vocab_size: int, device: Any) -> Any:
        """The processor that marks text of this vocabulary."""
        from dovetail.generation.processors.watermark import WatermarkLogitsProcessor

        return WatermarkLogitsProcessor(vocab_size, device, **self.to_dict())

"""The settings of GPTQ."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dovetail.errors import ConfigError
from dovetail.quantizers import QuantizationConfigMixin

WIDTHS = (2, 3, 4, 8)
FORMATS = ("gptq", "gptq_v2")


@dataclass
class GPTQConfig(QuantizationConfigMixin):
    """Weights rounded one column after another, so that later ones make up for earlier ones.

    `bits` are 2, 3, 4 or 8; `group_size` columns share a scale (-1: a whole row). To quantize here,
    give `dataset`, a list of texts or token ids, and `tokenizer` for texts. `desc_act` takes the
    columns in the order of their importance; `sym` puts zero in the middle of the codes;
    `damp_percent` of the mean diagonal steadies the Hessian. `modules_in_block_to_quantize` are
    lists of paths within a block; nothing else is packed then. `checkpoint_format` is ``"gptq"``,
    whose stored zeros are one less, or ``"gptq_v2"``.

    Settings of kernels that run on graphics cards (`use_exllama`, `exllama_config`,
    `use_cuda_fp16`) are kept and have no effect here.

    Raises:
        ConfigError: a setting cannot be.
    """

    bits: int = 4
    tokenizer: Any = None
    dataset: list[Any] | str | None = None
    group_size: int = 128
    damp_percent: float = 0.1
    desc_act: bool = False
    sym: bool = True
    true_sequential: bool = True
    use_cuda_fp16: bool = False
    model_seqlen: int | None = None
    block_name_to_quantize: str | None = None
    module_name_preceding_first_block: list[str] | None = None
    batch_size: int = 1
    pad_token_id: int | None = None
    use_exllama: bool | None = None
    max_input_length: int | None = None
    exllama_config: dict[str, Any] | None = None
    cache_block_outputs: bool = True
    modules_in_block_to_quantize: list[list[str]] | None = None
    modules_to_not_convert: list[str] | None = None
    checkpoint_format: str = "gptq"
    meta: dict[str, Any] = field(default_factory=dict)
    quant_method: str = "gptq"

    def __post_init__(self) -> None:
        self._check(self.bits in WIDTHS, f"bits={self.bits!r}", "2, 3, 4 or 8")
        self._check(
            self.group_size == -1 or self.group_size > 0,
            f"group_size={self.group_size!r}",
            "a positive number, or -1 for whole rows",
        )
        self._check(0 < self.damp_percent < 1, f"damp_percent={self.damp_percent!r}", "in (0, 1)")
        self._check(
            self.checkpoint_format in FORMATS,
            f"checkpoint_format={self.checkpoint_format!r}",
            "'gptq' or 'gptq_v2'",
        )

    def _check(self, holds: bool, setting: str, allowed: str) -> None:
        if not holds:
            raise ConfigError(f"GPTQConfig: {setting} cannot be: it must be {allowed}.")

    def to_dict(self) -> dict[str, Any]:
        """The settings that a checkpoint keeps: all but texts and tokenizer."""
        kept = super().to_dict()
        kept.pop("tokenizer")
        if not isinstance(kept["dataset"], str):
            kept.pop("dataset")
        return kept

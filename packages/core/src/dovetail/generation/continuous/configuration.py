"""Settings of continuous batching.

Source of names and defaults: the field's `ContinuousBatchingConfig` at 5.23.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from dovetail.errors import GenerationError, near_matches
from dovetail.generation.checks import FRACTION, POSITIVE, WHOLE, Check, is_integer, optional
from dovetail.logging import get_logger

logger = get_logger(__name__)

SCHEDULERS = ("fifo", "prefill_first")
CHECKS: dict[str, Check] = {
    "page_size": POSITIVE,
    "num_blocks": optional(POSITIVE),
    "max_batch_tokens": optional(POSITIVE),
    "max_memory_percent": optional(FRACTION),
    "max_requests_per_batch": optional(POSITIVE),
    "safety_margin": optional(FRACTION),
    "max_queue_size": WHOLE,
    "seed": optional(Check("an integer", is_integer)),
}
IDLE = (
    "max_blocks_per_request",
    "use_async_batching",
    "use_cuda_graph",
    "q_padding_interval_size",
    "kv_padding_interval_size",
    "varlen_compile_config",
    "decode_compile_config",
    "default_compile_level",
    "cpu_offload_space",
    "cpu_group_timeout",
    "use_default_compile_configs",
    "max_cached_graphs",
)
"""Settings of other back ends: nothing is padded, compiled, captured or offloaded here."""


@dataclass
class ContinuousBatchingConfig:
    """How requests share passes and memory.

    `num_blocks` pages of `page_size` positions are reserved, by default as many as fit into
    `max_memory_percent` (a share; default a half) of the memory that is free. A pass reads at most
    `max_batch_tokens` (default 512) of at most `max_requests_per_batch` texts. The `scheduler_type`
    "fifo" lets texts that are being continued go first, "prefill_first" those whose prompt is not
    read yet. New ones are admitted while a share of `safety_margin` (default 0.1) of the pages
    stays free. `return_logprobs` notes the log-probability of each token; with a `seed` each
    request draws from a generator of its own, so that results do not depend on what else runs.
    `max_queue_size` bounds how many wait (0: any number). With `allow_block_sharing` the beginning
    that a prompt has in common with an older text is read once; it is copied, as each text is read
    in place, which wants its pages to be neighbours. Processors see each request alone, so
    `per_request_processors` and `drop_unsupported_processors` change nothing.
    """

    page_size: int = 256
    num_blocks: int | None = None
    max_batch_tokens: int | None = None
    max_memory_percent: float | None = None
    max_requests_per_batch: int | None = None
    max_blocks_per_request: int | None = None
    allow_block_sharing: bool = True
    use_async_batching: bool | None = None
    use_cuda_graph: bool | tuple[bool, bool] | None = None
    q_padding_interval_size: int = 0
    kv_padding_interval_size: int = 0
    varlen_compile_config: Any = None
    decode_compile_config: Any = None
    default_compile_level: int = 0
    scheduler_type: str = "fifo"
    safety_margin: float | None = None
    return_logprobs: bool = False
    seed: int | None = None
    auto_switch_to_flash: bool = True
    cpu_offload_space: float | None = 0.0
    cpu_offload_space_safety_threshold: float = 0.8
    max_queue_size: int = 0
    per_request_processors: bool = False
    drop_unsupported_processors: bool = True
    disable_nccl_graph_mixing: bool = True
    cpu_group_timeout: float | None = 300.0
    use_default_compile_configs: bool | None = None
    max_cached_graphs: int | None = None
    block_size: int | None = None

    def __post_init__(self) -> None:
        if self.block_size is not None:  # the older name
            self.page_size = self.block_size
        for name, check in CHECKS.items():
            check(name, getattr(self, name))
        if self.scheduler_type not in SCHEDULERS:
            raise GenerationError(
                f"scheduler_type={self.scheduler_type!r}: it must be one of "
                f"{', '.join(SCHEDULERS)}.{near_matches(str(self.scheduler_type), SCHEDULERS)}"
            )
        usual = {field.name: field.default for field in fields(self)}
        idle = [name for name in IDLE if getattr(self, name) not in (None, usual[name])]
        if idle:
            logger.warning_once(f"{', '.join(idle)}: without effect on continuous batching here.")


@dataclass(frozen=True)
class WorkloadHints:
    """What is to come, as far as it is known (0: it is not): lengths in tokens, and how many
    requests at a time. It bounds the memory that is reserved."""

    max_prompt_length: int = 0
    max_generated_length: int = 0
    num_requests: int = 0

    def pages(self, page_size: int) -> int | None:
        """Pages that are enough for all of it; None when that is not known."""
        if not (self.max_prompt_length and self.max_generated_length and self.num_requests):
            return None
        length = self.max_prompt_length + self.max_generated_length
        return pages_for([length] * self.num_requests, page_size)


def pages_for(lengths: Sequence[int], page_size: int) -> int:
    """Pages for texts of these lengths, each with pages of its own."""
    return sum(-(-length // page_size) for length in lengths)

"""``generate_batch`` and its relatives: what continuous batching adds to a model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from dovetail.errors import GenerationError
from dovetail.generation.configuration import GenerationConfig
from dovetail.generation.continuous.configuration import (
    ContinuousBatchingConfig,
    WorkloadHints,
    pages_for,
)
from dovetail.generation.continuous.engine import Engine, check_model, longest_text
from dovetail.generation.continuous.manager import ContinuousBatchingManager, open_engine
from dovetail.generation.continuous.requests import (
    CALL_ARGUMENTS,
    GenerationOutput,
    Request,
    RequestMaker,
)
from dovetail.logging import tqdm


class ContinuousMixin:
    """Gives a model that generates the methods of continuous batching."""

    _continuous_engine: Engine

    def generate_batch(
        self,
        inputs: Sequence[list[int]],
        generation_config: GenerationConfig | None = None,
        continuous_batching_config: ContinuousBatchingConfig | None = None,
        record_timestamps: bool = False,
        progress_bar: bool = False,
        persistent_manager: bool = False,
        warmup: bool = True,
        **kwargs: Any,
    ) -> dict[str, GenerationOutput]:
        """Continue prompts of any lengths, none padded, each until it is complete.

        `inputs` are lists of token ids; `kwargs` are settings, as in ``generate``, and
        `logits_processor`, `stopping_criteria`, `prefix_allowed_tokens_fn` and `tokenizer`. Tokens
        are chosen greedily or by sampling. `persistent_manager` leaves the cache's memory with the
        model for the next call. There is nothing to warm up: `warmup` changes nothing.

        Returns the outputs by name, ``req_0`` being the first prompt's; further ones of
        ``num_return_sequences`` are called ``req_0__child#0`` and so on. A prompt that cannot be
        continued has its output too, with an ``error``. Raises `GenerationError`, before the model
        runs, for a model or settings that cannot be.
        """
        check_model(self)
        batching = continuous_batching_config or ContinuousBatchingConfig()
        call = {name: kwargs.pop(name) for name in CALL_ARGUMENTS if name in kwargs}
        if kwargs.get("max_length") is not None:
            call["max_length"] = kwargs["max_length"]
        config = self._continuous_config(generation_config, **kwargs)
        maker = RequestMaker(self, config, batching.seed, longest_text(self))
        requests = [
            request
            for input_ids in _checked_inputs(inputs)
            for request in maker.make(input_ids, record_timestamps=record_timestamps, **call)
        ]
        lengths = [r.limit for r in requests if r.error is None and r.limit is not None]
        known = len(lengths) == len(requests) and not persistent_manager
        pages = pages_for(lengths, batching.page_size) if known else None
        engine = open_engine(self, batching, pages=pages)
        outputs = _serve(engine, requests, progress_bar)
        if persistent_manager:
            self._continuous_engine = engine
        return {request.id: outputs[request.id] for request in requests}

    def init_continuous_batching(
        self,
        generation_config: GenerationConfig | None = None,
        continuous_batching_config: ContinuousBatchingConfig | None = None,
        workload_hints: WorkloadHints | None = None,
    ) -> ContinuousBatchingManager:
        """A manager that serves requests to this model, not started yet."""
        check_model(self)
        return ContinuousBatchingManager(
            self,
            self._continuous_config(generation_config),
            continuous_batching_config or ContinuousBatchingConfig(),
            workload_hints,
        )

    @contextmanager
    def continuous_batching_context_manager(
        self,
        generation_config: GenerationConfig | None = None,
        block: bool = True,
        timeout: float | None = None,
        continuous_batching_config: ContinuousBatchingConfig | None = None,
        persistent_manager: bool = False,
        warmup: bool = True,
        workload_hints: WorkloadHints | None = None,
    ) -> Iterator[ContinuousBatchingManager]:
        """A manager that works inside the ``with`` block.

        At its end accepted requests are finished, unless an error ends it; `block`, `timeout` and
        `persistent_manager` are passed to `ContinuousBatchingManager.stop`.
        """
        manager = self.init_continuous_batching(
            generation_config, continuous_batching_config, workload_hints
        )
        manager.start()
        failed = True
        try:
            yield manager
            failed = False
        finally:
            manager.stop(block, timeout, persistent_manager, hard_stop=failed)

    def destroy_cached_continuous_batching_manager(self) -> None:
        """Let go of the cache's memory that an earlier session left with this model."""
        if hasattr(self, "_continuous_engine"):
            del self._continuous_engine

    def _continuous_config(
        self, generation_config: GenerationConfig | None, **kwargs: Any
    ) -> GenerationConfig:
        config, unknown = self._prepare_generation_config(  # type: ignore[attr-defined]
            generation_config, **kwargs
        )
        if unknown:
            raise GenerationError(
                f"generate_batch() got unknown arguments {', '.join(unknown)}: "
                "give settings of GenerationConfig"
            )
        return config


def _checked_inputs(inputs: Any) -> Sequence[Any]:
    if isinstance(inputs, str) or not hasattr(inputs, "__len__"):
        raise GenerationError(
            f"inputs is a {type(inputs).__name__}: give a list with a list of token ids for each "
            "prompt"
        )
    return inputs


def _serve(
    engine: Engine, requests: Sequence[Request], progress_bar: bool
) -> dict[str, GenerationOutput]:
    """Run `requests` to their ends in this thread."""
    outputs: dict[str, GenerationOutput] = {}
    for request in requests:
        engine.add(request)
    try:
        with tqdm(total=len(requests), disable=not progress_bar, unit="request") as bar:
            while engine.busy:
                ended = engine.step()
                outputs |= {output.request_id: output for output in ended}
                bar.update(len(ended))
    finally:
        engine.fail_all("generate_batch was interrupted")
    return outputs

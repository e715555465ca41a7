"""The engine of continuous batching: each step is one pass of the model over the tokens of many
texts, packed into one row.

Nothing is padded: projections see all tokens at once, attention each text with its own pages.
"""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from dovetail.caches import PagedCache, layer_windows, recurrent_layers
from dovetail.errors import GenerationError
from dovetail.generation.continuous.configuration import ContinuousBatchingConfig
from dovetail.generation.continuous.requests import GenerationOutput, Request, RequestStatus
from dovetail.generation.continuous.scheduler import Scheduler, Work
from dovetail.generation.inputs import forward_parameters
from dovetail.generation.tokens import draw
from dovetail.layers.rotary import RotaryEmbedding
from dovetail.logging import get_logger

logger = get_logger(__name__)

NEEDED = ("input_ids", "position_ids", "cache_position", "past_key_values")
MAX_BATCH_TOKENS = 512
MEMORY_SHARE = 0.5
SAFETY_MARGIN = 0.1


class Engine:
    """Runs requests for `model` together; used by one thread at a time.

    The cache gets `pages` pages at most, fewer where the settings or the memory say so.
    """

    def __init__(
        self, model: Any, batching: ContinuousBatchingConfig, pages: int | None = None
    ) -> None:
        check_model(model)
        self.model, self.batching = model, batching
        windows = layer_windows(model.config)
        count = batching.num_blocks or _affordable_pages(model, batching, pages)
        self.cache = PagedCache(windows, count, batching.page_size)
        margin = SAFETY_MARGIN if batching.safety_margin is None else batching.safety_margin
        self.scheduler = Scheduler(
            self.cache,
            batching.max_batch_tokens or MAX_BATCH_TOKENS,
            batching.max_requests_per_batch,
            margin,
            batching.scheduler_type == "prefill_first",
            batching.allow_block_sharing,
        )
        self._selects = "logits_to_keep" in forward_parameters(model)
        self._outputs: list[GenerationOutput] = []

    @property
    def busy(self) -> bool:
        """Whether `step` has anything to do."""
        return bool(self._outputs) or self.scheduler.busy

    def add(self, request: Request) -> None:
        """Let a request wait for its turn; one that failed already, or can never fit, ends here."""
        needed = 0 if request.limit is None else request.limit - 1  # the last token is not read
        if request.error is None and max(needed, len(request.tokens)) > self.cache.capacity:
            request.error = (
                f"the text may have {request.limit or len(request.tokens)} tokens and the paged "
                f"cache has room for {self.cache.capacity}: raise num_blocks or "
                "max_memory_percent, or lower max_new_tokens"
            )
        if request.error is None:
            self.scheduler.waiting.append(request)
        else:
            self._end(request)

    def cancel(self, request_id: str) -> None:
        """Forget a request, finished or not, and free its pages."""
        self._outputs = [output for output in self._outputs if output.request_id != request_id]
        if (request := self.scheduler.find(request_id)) is not None:
            self.scheduler.remove(request)

    def fail_all(self, reason: str) -> list[GenerationOutput]:
        """End everything that is left, as failed for `reason`."""
        for request in (*self.scheduler.running, *self.scheduler.waiting):
            self._fail(request, reason)
        return self._drain()

    @torch.no_grad()
    def step(self) -> list[GenerationOutput]:
        """Run one pass; return what it ended, and what is streamed."""
        works, stuck = self.scheduler.plan()
        if stuck is not None:
            self._fail(
                stuck,
                f"the text has {len(stuck.tokens)} tokens and the paged cache room for "
                f"{self.cache.capacity}: raise num_blocks, or set max_new_tokens",
            )
        if works:
            self._run(works)
        return self._drain()

    def _drain(self) -> list[GenerationOutput]:
        outputs, self._outputs = self._outputs, []
        return outputs

    # One pass

    def _run(self, works: Sequence[Work]) -> None:
        """Read `works` in one pass; if it fails, one by one, so that the others get on."""
        try:
            logits = self._forward(works)
        except Exception as error:
            if len(works) > 1:
                for work in works:
                    self._run([work])
            else:
                logger.warning("A forward pass failed.", exc_info=True)
                self._fail(works[0].request, self._reason(works[0].request, error))
            return
        complete = [work.request for work in works if work.completes]
        for request, count in ((work.request, work.count) for work in works):
            request.cached += count
        self._continue(complete, logits)

    def _reason(self, request: Request, error: Exception) -> str:
        """What to say of a text that the model could not read."""
        length = len(request.tokens)
        limit = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        hint = ""
        if limit is not None and length > limit:
            hint = f"the text has {length} tokens and the model {limit} positions: "
        return f"{hint}{type(error).__name__}: {error}"

    def _forward(self, works: Sequence[Work]) -> Tensor:
        """Float32 logits (R, V) of the next token, a row for each work that completes its text."""
        device = self.model.device
        ids: list[int] = []
        positions: list[int] = []
        last: list[int] = []
        for work in works:
            start = work.request.cached
            ids += work.request.tokens[start : start + work.count]
            positions += range(start, start + work.count)
            if work.completes:
                last.append(len(ids) - 1)
        self.cache.begin(
            [(w.request.id, w.request.cached, w.request.cached + w.count) for w in works], device
        )
        places = torch.tensor(positions, device=device)
        rows = torch.tensor(last or [0], device=device)
        output = self.model(
            input_ids=torch.tensor([ids], device=device),
            position_ids=places[None],
            cache_position=places,
            past_key_values=self.cache,
            use_cache=True,
            return_dict=True,
            **({"logits_to_keep": rows} if self._selects else {}),
        )
        logits = output.logits[0] if self._selects else output.logits[0, rows]
        return logits.float()

    def _continue(self, requests: Sequence[Request], logits: Tensor) -> None:
        """Add a token to each of `requests`, as its row of `logits` (R, V) says."""
        best = logits[: len(requests)].argmax(-1).tolist()
        for request, row, token in zip(requests, logits.split(1), best, strict=False):
            try:
                token, logprob = self._choose(request, row, token)
                complete = request.append(token, logprob)
            except Exception as error:
                self._fail(request, f"{type(error).__name__}: {error}")
                continue
            if complete:
                request.status = RequestStatus.FINISHED
                self._end(request)
            elif request.streaming:
                self._outputs.append(request.output())

    def _choose(self, request: Request, logits: Tensor, best: int) -> tuple[int, float | None]:
        """The next token of a text with `logits` (1, V), and its log-probability if wanted; `best`
        is their largest."""
        scores = request.processors(request.ids, logits) if request.processors else logits
        if request.sampled:
            token = int(draw(scores, 1, request.generator))
        else:
            token = int(scores.argmax()) if request.processors else best
        if not self.batching.return_logprobs:
            return token, None
        return token, float(scores[0].log_softmax(-1)[token])

    def _fail(self, request: Request, reason: str) -> None:
        request.error = reason
        self._end(request)

    def _end(self, request: Request) -> None:
        """Free what an ended request holds, and hand out what it became."""
        if self.scheduler.find(request.id) is request:
            self.scheduler.remove(request)
        request.ended = time.perf_counter()
        if request.error is not None:
            request.status = RequestStatus.FAILED
        self._outputs.append(request.output())


def check_model(model: Any) -> None:
    """Raise `GenerationError` for a model whose texts cannot be packed into one pass."""
    name = type(model).__name__
    model._check_can_generate()
    if model.config.is_encoder_decoder:
        reason = "it is an encoder-decoder, and only decoders' texts can be packed"
    elif recurrent_layers(model.config):
        reason = "its layers have recurrent states, which have no pages"
    elif missing := _missing_parameters(model):
        reason = f"its forward pass takes no {', '.join(missing)}"
    else:
        return
    raise GenerationError(f"{name} cannot batch continuously: {reason}. Use generate()")


def _missing_parameters(model: Any) -> list[str]:
    """Arguments that the model's body does not take."""
    kinds = [p.kind for p in inspect.signature(type(model.base_model).forward).parameters.values()]
    if inspect.Parameter.VAR_KEYWORD in kinds:
        return []
    return [name for name in NEEDED if name not in forward_parameters(model)]


def longest_text(model: Any) -> int | None:
    """From which length on a text's rotary frequencies depend on it, None when they never do."""
    limits = (m.constant_length for m in model.modules() if isinstance(m, RotaryEmbedding))
    return min((limit for limit in limits if limit is not None), default=None)


def _affordable_pages(model: Any, batching: ContinuousBatchingConfig, wanted: int | None) -> int:
    """As many pages as are `wanted` and fit into the allowed share of free memory."""
    text = model.config.get_text_config()
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    position = 2 * text.num_hidden_layers * heads * width * model.dtype.itemsize
    share = batching.max_memory_percent or MEMORY_SHARE
    affordable = int(share * _free_memory(model.device)) // (position * batching.page_size)
    return max(affordable if wanted is None else min(affordable, wanted), 1)


def _free_memory(device: torch.device) -> int:
    """Bytes that are free where `device` is."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    names = getattr(os, "sysconf_names", {})
    if "SC_AVPHYS_PAGES" in names and "SC_PAGE_SIZE" in names:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 1 << 32  # a machine that does not say: what most have

"""The manager of continuous batching: a thread that serves requests while they come and go."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

from dovetail.caches import PagedCache
from dovetail.errors import GenerationError
from dovetail.generation.configuration import GenerationConfig
from dovetail.generation.continuous.configuration import ContinuousBatchingConfig, WorkloadHints
from dovetail.generation.continuous.engine import Engine, longest_text
from dovetail.generation.continuous.requests import GenerationOutput, Request, RequestMaker
from dovetail.logging import get_logger

logger = get_logger(__name__)

Handler = Callable[[GenerationOutput], Any]


class ContinuousBatchingManager:
    """Serves requests to `model` in a thread of its own, from `start` to `stop`.

    All methods may be called from any thread, and requests be added before the start.
    `generation_config` holds the settings that requests begin with. Results are handed out once,
    by `get_result`, by iterating over the manager, or over one request (`request_id_iter`).
    """

    def __init__(
        self,
        model: Any,
        generation_config: GenerationConfig,
        continuous_batching_config: ContinuousBatchingConfig | None = None,
        workload_hints: WorkloadHints | None = None,
    ) -> None:
        self.model, self.generation_config = model, generation_config
        self.continuous_batching_config = continuous_batching_config or ContinuousBatchingConfig()
        self._hints = workload_hints
        self._engine: Engine | None = self._open_engine()
        self._maker = RequestMaker(
            model, generation_config, self.continuous_batching_config.seed, longest_text(model)
        )
        self._changed = threading.Condition()
        self._inbox: deque[Request] = deque()
        self._open: set[str] = set()  # accepted, and not ended
        self._cancelled: set[str] = set()  # of these, those to be forgotten
        self._results: dict[str, deque[GenerationOutput]] = {}
        self._handlers: dict[str, Handler] = {}
        self._thread: threading.Thread | None = None
        self._passing = threading.Lock()  # held while the model runs
        self._stopping = self._paused = self._hard = False
        self._failure: BaseException | None = None

    @property
    def cache(self) -> PagedCache | None:
        """The pages that requests share; None once they were left to the next session."""
        return None if self._engine is None else self._engine.cache

    # Life

    def start(self) -> None:
        """Begin to work, once an earlier stop is over; nothing happens when it works already."""
        if self._stopping:
            self.join(time.perf_counter())
        with self._changed:
            if self.is_running():
                return
            if self._engine is None:
                self._engine = self._open_engine()
            self._stopping, self._hard, self._failure = False, False, None
            self._thread = threading.Thread(
                target=self._work, args=(self._engine,), name="continuous-batching", daemon=True
            )
            self._thread.start()

    def is_running(self) -> bool:
        """Whether the thread is alive."""
        return self._thread is not None and self._thread.is_alive()

    def stop(
        self,
        block: bool = True,
        timeout: float | None = None,
        keep_for_next_session: bool = False,
        hard_stop: bool = False,
    ) -> None:
        """Accept no more requests, finish those there are, and end the thread.

        `hard_stop` drops what is not finished. `block` waits, `timeout` seconds at most.
        `keep_for_next_session` leaves the cache's memory with the model, for whoever batches next.
        """
        with self._changed:
            self._stopping, self._hard = True, self._hard or hard_stop
            self._changed.notify_all()
        if block:
            self.join(time.perf_counter(), timeout)
        if keep_for_next_session and not self.is_running():
            self.model._continuous_engine, self._engine = self._engine, None

    def join(self, stop_trigger_time: float, timeout: float | None = None) -> None:
        """Wait for the thread to end, `timeout` seconds at most after `stop_trigger_time` (of
        `time.perf_counter`); logs a warning if it does not."""
        if self._thread is None or self._thread is threading.current_thread():
            return
        left = None
        if timeout is not None:
            left = max(stop_trigger_time + timeout - time.perf_counter(), 0)
        self._thread.join(left)
        if self._thread.is_alive():
            logger.warning(f"Continuous batching still works {timeout} s after it was stopped.")

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Let the model rest inside the ``with`` block, which is entered once the present pass is
        over; a `stop` ends the rest."""
        self._paused = True
        try:
            with self._passing:
                pass
            yield
        finally:
            with self._changed:
                self._paused = False
                self._changed.notify_all()

    def destroy(self) -> None:
        """Stop at once, and let go of the cache's memory."""
        self.stop(hard_stop=True)
        self._engine = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop(hard_stop=error[0] is not None)

    # Requests

    def add_request(
        self,
        input_ids: list[int],
        request_id: str | None = None,
        max_new_tokens: int | None = None,
        streaming: bool = False,
        record_timestamps: bool = False,
        eos_token_id: int | list[int] | None = None,
        **logit_processor_kwargs: Any,
    ) -> str:
        """Queue a prompt; returns the name of the request.

        Further texts of ``num_return_sequences`` are requests called ``name__child#0`` and so on.
        `streaming` gives a result after each token. The further arguments are settings of this
        request alone: any of `GenerationConfig`, and as in ``generate`` `logits_processor`,
        `stopping_criteria`, `prefix_allowed_tokens_fn` and `tokenizer` (for ``stop_strings``). A
        prompt that cannot be read gives a failed result.

        Raises `GenerationError` for settings that cannot be, a name that is in use, or when the
        manager was stopped.
        """
        with self._changed:
            self._await_room()
            taken = self._open | self._results.keys()
            made = self._maker.make(
                input_ids,
                request_id,
                streaming,
                record_timestamps,
                taken,
                max_new_tokens=max_new_tokens,
                eos_token_id=eos_token_id,
                **logit_processor_kwargs,
            )
            if doubles := [request.id for request in made if request.id in taken]:
                raise GenerationError(
                    f"request_id={doubles[0]!r} names a request that is not finished, or whose "
                    "results were not taken yet: choose another name, or none"
                )
            self._open.update(request.id for request in made)
            self._inbox.extend(made)
            self._changed.notify_all()
            return made[0].id

    def add_requests(
        self,
        inputs: Sequence[list[int]],
        max_new_tokens: int | None = None,
        streaming: bool = False,
        record_timestamps: bool = False,
        **logit_processor_kwargs: Any,
    ) -> list[str]:
        """Queue several prompts with the same settings; returns their names, in order."""
        return [
            self.add_request(
                input_ids,
                None,
                max_new_tokens,
                streaming,
                record_timestamps,
                **logit_processor_kwargs,
            )
            for input_ids in inputs
        ]

    def cancel_request(self, request_id: str) -> None:
        """Forget a request: there will be no further result of it. A finished one stays."""
        with self._changed:
            if request_id in self._open:
                self._cancelled.add(request_id)
                self._results.pop(request_id, None)
                self._changed.notify_all()

    # Results

    def get_result(
        self, request_id: str | None = None, timeout: float | None = None
    ) -> GenerationOutput | None:
        """The next result (of one request), waiting for it `timeout` seconds at most.

        Returns None when there is none in time, or can be none any more: the request is unknown,
        cancelled or was handed out, or the manager has stopped. Raises `GenerationError` if the
        thread broke down.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._ready(request_id), timeout)
            key = next(iter(self._results), None) if request_id is None else request_id
            if key is None or key not in self._results:
                self._raise_failure()
                return None
            results = self._results[key]
            result = results.popleft()
            if not results:
                del self._results[key]
            return result

    def __iter__(self) -> Iterator[GenerationOutput]:
        """Results as they come, until the manager has stopped and all are handed out."""
        while (result := self.get_result()) is not None:
            yield result

    def request_id_iter(self, request_id: str) -> Iterator[GenerationOutput]:
        """Results of one request: with streaming one after each token, the last one complete."""
        while (result := self.get_result(request_id)) is not None:
            yield result

    def register_result_handler(self, request_id: str, callback: Handler) -> None:
        """Pass the results of a request to `callback`, in the manager's thread, and not to
        `get_result`."""
        with self._changed:
            for result in self._results.pop(request_id, ()):
                callback(result)
            if request_id in self._open:
                self._handlers[request_id] = callback

    def _ready(self, request_id: str | None) -> bool:
        """Whether waiting for a result is over, or vain."""
        if self._stopping and not self._open:
            return True
        if request_id is None:
            return bool(self._results) or not self.is_running()
        awaited = request_id in self._open and request_id not in self._cancelled
        return request_id in self._results or not awaited or not self.is_running()

    def _await_room(self) -> None:
        """Wait until another request may queue."""
        limit, engine = self.continuous_batching_config.max_queue_size, self._engine

        def free() -> bool:
            if not limit or engine is None or not self.is_running() or self._stopping:
                return True
            return len(self._inbox) + len(engine.scheduler.waiting) < limit

        self._changed.wait_for(free)
        self._raise_failure()
        if self._stopping:
            raise GenerationError("the manager was stopped and takes no requests: call start()")

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise GenerationError(
                f"continuous batching broke down: {self._failure}. Start it again, or report this"
            ) from self._failure

    # The thread

    def _open_engine(self) -> Engine:
        return open_engine(self.model, self.continuous_batching_config, self._hints)

    def _work(self, engine: Engine) -> None:
        reason = "the manager was stopped"
        try:
            while self._take(engine):
                with self._passing:
                    outputs = engine.step()
                self._publish(outputs)
        except BaseException as error:
            self._failure, reason = error, f"{type(error).__name__}: {error}"
        finally:
            left = engine.fail_all(reason)
            with self._changed:
                self._stopping = True
                self._publish(left if self._failure else [])
                for leftover in (self._inbox, self._open, self._cancelled, self._handlers):
                    leftover.clear()
                self._changed.notify_all()

    def _take(self, engine: Engine) -> bool:
        """Wait for something to do and pass requests on; False when it is time to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._wanted(engine))
            while self._inbox:
                engine.add(self._inbox.popleft())
            for request_id in self._cancelled:
                engine.cancel(request_id)
                self._open.remove(request_id)
                self._handlers.pop(request_id, None)
            self._cancelled.clear()
            return not self._stopping or (engine.busy and not self._hard)

    def _wanted(self, engine: Engine) -> bool:
        if self._stopping:
            return True
        return not self._paused and bool(self._inbox or self._cancelled or engine.busy)

    def _publish(self, outputs: Sequence[GenerationOutput]) -> None:
        with self._changed:
            for output in outputs:
                if output.request_id in self._cancelled:
                    continue
                ended = output.is_finished() or output.error is not None
                if ended:
                    self._open.remove(output.request_id)
                handler = self._handlers.get(output.request_id)
                if handler is None:
                    self._results.setdefault(output.request_id, deque()).append(output)
                else:
                    self._hand(handler, output)
                    if ended:
                        del self._handlers[output.request_id]
            self._changed.notify_all()

    @staticmethod
    def _hand(handler: Handler, output: GenerationOutput) -> None:
        try:
            handler(output)
        except Exception:
            logger.warning(f"The handler of {output.request_id} failed.", exc_info=True)


def open_engine(
    model: Any,
    batching: ContinuousBatchingConfig,
    hints: WorkloadHints | None = None,
    pages: int | None = None,
) -> Engine:
    """The engine that an earlier session left with `model`, if it has the same settings and is
    idle; else a new one with memory for `hints` or `pages`."""
    kept = getattr(model, "_continuous_engine", None)
    if kept is not None and kept.batching == batching and not kept.busy:
        del model._continuous_engine
        return kept
    if pages is None and hints is not None:
        pages = hints.pages(batching.page_size)
    return Engine(model, batching, pages)

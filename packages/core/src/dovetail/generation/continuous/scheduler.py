"""Who takes part in the next pass, with how many tokens."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

from dovetail.caches import PagedCache
from dovetail.generation.continuous.requests import Request, RequestStatus

SHARED = 16  # tokens; a shorter beginning is read again sooner than it is waited for


@dataclass(frozen=True)
class Work:
    """The next `count` tokens of `request` that are to be read."""

    request: Request
    count: int

    @property
    def completes(self) -> bool:
        """Whether the next token is known after it."""
        return self.count == self.request.remaining


def _common(older: Request, request: Request) -> int:
    """How many tokens both begin with, one of `request` left out: its scores are still wanted."""
    pairs = enumerate(zip(older.tokens, request.tokens[:-1], strict=False))
    differs = (index for index, (one, other) in pairs if one != other)
    return next(differs, min(len(older.tokens), len(request.tokens) - 1))


class Scheduler:
    """Admits requests in the order of their arrival as long as there are pages for them.

    A running text that finds no page makes the youngest one give up its own: that one waits again,
    first in line, and is read anew from its beginning. So the oldest always gets on. Prompts are
    read in pieces, since a pass has at most `max_tokens`; texts that are being continued go first
    or, with `prefill_first`, last. New ones must leave a share of `margin` of the pages free. With
    `shares_prefixes`, what a text has in common with an older one is read once and copied.
    """

    def __init__(
        self,
        cache: PagedCache,
        max_tokens: int,
        max_requests: int | None = None,
        margin: float = 0.0,
        prefill_first: bool = False,
        shares_prefixes: bool = False,
    ) -> None:
        self.cache, self.max_tokens, self.max_requests = cache, max_tokens, max_requests
        self.spare_pages = int(margin * cache.pool.pages)
        self.prefill_first, self.shares_prefixes = prefill_first, shares_prefixes
        self.waiting: deque[Request] = deque()
        self.running: list[Request] = []  # the oldest first

    @property
    def busy(self) -> bool:
        """Whether anything is left to do."""
        return bool(self.waiting or self.running)

    def find(self, request_id: str) -> Request | None:
        """The waiting or running request of that name."""
        everyone = (*self.running, *self.waiting)
        return next((request for request in everyone if request.id == request_id), None)

    def remove(self, request: Request) -> None:
        """Forget a request, which gives its pages back."""
        self.cache.free(request.id)
        (self.running if request in self.running else self.waiting).remove(request)

    def plan(self) -> tuple[list[Work], Request | None]:
        """What the next pass reads; and a request that can go no further, which nothing but a
        larger cache would help."""
        stuck = self._grow() or self._admit()
        works, budget = [], self.max_tokens
        waiting = self._copy_prefixes() if self.shares_prefixes else []
        first_remaining = (lambda n: n == 1) if self.prefill_first else (lambda n: n > 1)
        for request in sorted(self.running, key=lambda request: first_remaining(request.remaining)):
            if request in waiting or request is stuck:
                continue
            if count := min(request.remaining, budget):
                works.append(Work(request, count))
                budget -= count
        return works, stuck

    def _copy_prefixes(self) -> list[Request]:
        """Give texts of which nothing is read yet what an older one has read of the same
        beginning; returns those for which an older one is still reading."""
        waiting: list[Request] = []
        for index, request in enumerate(self.running):
            if request.cached:
                continue
            alike = [(_common(older, request), older) for older in self.running[:index]]
            common, older = max(alike, key=lambda pair: pair[0], default=(0, request))
            if common < SHARED:
                continue
            if older.cached < common and older.remaining > 1:
                waiting.append(request)
            else:
                request.cached = min(common, older.cached)
                self.cache.copy(older.id, request.id, request.cached)
        return waiting

    def _grow(self) -> Request | None:
        """Get pages for the next token of each running text."""
        for request in list(self.running):
            while request in self.running:
                if self.cache.reserve(request.id, len(request.tokens)):
                    break
                if len(self.running) == 1:
                    return request
                self._preempt(self.running[-1])
        return None

    def _preempt(self, request: Request) -> None:
        self.remove(request)
        request.cached, request.status = 0, RequestStatus.PENDING
        self.waiting.appendleft(request)

    def _admit(self) -> Request | None:
        while self.waiting and len(self.running) < (self.max_requests or len(self.running) + 1):
            request, pool = self.waiting[0], self.cache.pool
            wanted = -(-len(request.tokens) // self.cache.page_size)
            if self.running and pool.free - wanted < self.spare_pages:
                break
            if not self.cache.reserve(request.id, len(request.tokens)):
                return None if self.running else request
            self.waiting.popleft()
            request.status = RequestStatus.PREFILLING
            request.admitted = time.perf_counter() if request.admitted < 0 else request.admitted
            self.running.append(request)
        return None

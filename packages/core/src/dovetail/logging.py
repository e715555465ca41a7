"""Dovetail's loggers, one verbosity for all of them, and the switch of progress bars.

Everything hangs below the standard logger ``"dovetail"``. Messages reach the application's
handlers when it has any, otherwise standard error. The environment variable ``DOVETAIL_VERBOSITY``
(``debug``, ``info``, ``warning``, ``error``, ``critical``) sets the first level.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from functools import cache
from logging import CRITICAL, DEBUG, ERROR, FATAL, INFO, NOTSET, WARN, WARNING
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from tqdm import tqdm as Tqdm

__all__ = [
    "CRITICAL",
    "DEBUG",
    "ERROR",
    "FATAL",
    "INFO",
    "NOTSET",
    "WARN",
    "WARNING",
    "Logger",
    "add_handler",
    "disable_default_handler",
    "disable_progress_bar",
    "disable_propagation",
    "enable_default_handler",
    "enable_explicit_format",
    "enable_progress_bar",
    "enable_propagation",
    "get_logger",
    "get_verbosity",
    "is_progress_bar_enabled",
    "remove_handler",
    "reset_format",
    "set_verbosity",
    "set_verbosity_debug",
    "set_verbosity_error",
    "set_verbosity_info",
    "set_verbosity_warning",
    "tqdm",
]

ROOT = "dovetail"
LEVELS = {"debug": DEBUG, "info": INFO, "warning": WARNING, "error": ERROR, "critical": CRITICAL}
EXPLICIT_FORMAT = "[%(levelname)s|%(filename)s:%(lineno)s] %(asctime)s >> %(message)s"

_lock = threading.Lock()
_progress = True


class Logger(logging.Logger):
    """A standard logger that can also say something once per process."""

    @cache  # noqa: B019 - loggers live as long as the process
    def warning_once(self, message: str) -> None:
        """Log a warning the first time this text is given."""
        self.warning(message)

    @cache  # noqa: B019 - loggers live as long as the process
    def info_once(self, message: str) -> None:
        """Log an information the first time this text is given."""
        self.info(message)

    def warning_advice(self, message: str, *args: object) -> None:
        """Log advice as a warning, unless ``DOVETAIL_NO_ADVISORY_WARNINGS`` is set."""
        if not os.environ.get("DOVETAIL_NO_ADVISORY_WARNINGS"):
            self.warning(message, *args)


class _FallbackHandler(logging.StreamHandler[TextIO]):
    """Writes to standard error while the application has configured no handler of its own."""

    def emit(self, record: logging.LogRecord) -> None:
        if not logging.getLogger().handlers:
            self.stream = sys.stderr
            super().emit(record)


_fallback = _FallbackHandler()


def get_logger(name: str | None = None) -> Logger:
    """The logger of a module, below ``dovetail`` so that one verbosity rules them all."""
    root = _root()
    if name is None or name == ROOT:
        return root
    return _logger(name if name.startswith(ROOT) else f"{ROOT}.{name}")


def _logger(name: str) -> Logger:
    with _lock:
        logger = logging.getLogger(name)
        if not isinstance(logger, Logger):
            logger.__class__ = Logger
        return logger  # type: ignore[return-value]


def _root() -> Logger:
    root = _logger(ROOT)
    if root.level == NOTSET:
        wanted = os.environ.get("DOVETAIL_VERBOSITY", "warning").lower()
        root.setLevel(LEVELS.get(wanted, WARNING))
        root.addHandler(_fallback)
        root.addHandler(logging.NullHandler())  # keeps Python's own last resort from speaking
        if wanted not in LEVELS:
            root.warning(
                "DOVETAIL_VERBOSITY=%s is not one of %s; using 'warning'.",
                wanted,
                ", ".join(LEVELS),
            )
    return root


def get_verbosity() -> int:
    """The current level of all Dovetail loggers."""
    return _root().getEffectiveLevel()


def set_verbosity(verbosity: int) -> None:
    """Show messages of this level (`DEBUG`, `INFO`, `WARNING`, `ERROR`) and above."""
    _root().setLevel(verbosity)


def set_verbosity_debug() -> None:
    """Show everything."""
    set_verbosity(DEBUG)


def set_verbosity_info() -> None:
    """Show information, warnings and errors."""
    set_verbosity(INFO)


def set_verbosity_warning() -> None:
    """Show warnings and errors (the default)."""
    set_verbosity(WARNING)


def set_verbosity_error() -> None:
    """Show errors only."""
    set_verbosity(ERROR)


def enable_default_handler() -> None:
    """Write messages to standard error when the application has no handler."""
    _root().addHandler(_fallback)


def disable_default_handler() -> None:
    """Write nothing to standard error."""
    _root().removeHandler(_fallback)


def add_handler(handler: logging.Handler) -> None:
    """Attach a handler to all Dovetail loggers."""
    _root().addHandler(handler)


def remove_handler(handler: logging.Handler) -> None:
    """Detach a handler that `add_handler` attached."""
    _root().removeHandler(handler)


def enable_propagation() -> None:
    """Pass messages on to the application's root logger (the default)."""
    _root().propagate = True


def disable_propagation() -> None:
    """Keep messages from the application's root logger."""
    _root().propagate = False


def enable_explicit_format() -> None:
    """Prefix every message with its level, place and time."""
    for handler in _root().handlers:
        handler.setFormatter(logging.Formatter(EXPLICIT_FORMAT))


def reset_format() -> None:
    """Undo `enable_explicit_format`."""
    for handler in _root().handlers:
        handler.setFormatter(None)


def is_progress_bar_enabled() -> bool:
    """Whether progress bars are wanted at all."""
    return _progress


def enable_progress_bar() -> None:
    """Show progress bars where standard error is a terminal (the default)."""
    _set_progress(True)


def disable_progress_bar() -> None:
    """Show no progress bars."""
    _set_progress(False)


def _set_progress(wanted: bool) -> None:
    global _progress
    _progress = wanted


def tqdm(*args: Any, **kwargs: Any) -> Tqdm:
    """A `tqdm` bar, silent when bars are disabled or standard error is no terminal."""
    from tqdm.auto import tqdm as bar

    kwargs.setdefault("disable", None if _progress else True)
    return bar(*args, **kwargs)

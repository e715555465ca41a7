"""Every error Dovetail raises on purpose.

Each is also the built-in type that code written for this field already catches. A message says what
was wrong, where (file, key, tensor, plugin), and what to do next.
"""

from __future__ import annotations

from collections.abc import Iterable


class DovetailError(Exception):
    """Base of all errors raised by Dovetail itself."""


class UnknownNameError(DovetailError, ValueError):
    """A name that no registry knows; the message lists near matches."""


class MissingPluginError(DovetailError, ImportError):
    """A known name of a distribution that is not installed, with the ``pip install`` line."""


class MissingPackageError(DovetailError, ImportError):
    """A feature needs a package that is not installed, with the ``pip install`` line."""


class PluginLoadError(DovetailError, ImportError):
    """An installed plugin, or a target it declares, could not be imported; the cause is chained."""


class PluginConflictError(DovetailError, ValueError):
    """Two plugins claim one name and nothing says which is to win."""


class ConfigError(DovetailError, ValueError):
    """A configuration value that cannot be: names the key, the value and what is allowed."""


class ConfigTypeError(ConfigError, TypeError):
    """A configuration value of the wrong type."""


class HubError(DovetailError, OSError):
    """A file that could not be found or fetched, locally or from the Hub."""


class CheckpointError(DovetailError, OSError):
    """A checkpoint that is damaged, torn, unsafe or not the one asked for."""


class MismatchError(DovetailError, RuntimeError):
    """Tensors of a checkpoint do not fit the model: the message lists names and both shapes."""


class TokenizerError(DovetailError, ValueError):
    """A tokenizer file or call that cannot be."""


class TokenizerTypeError(TokenizerError, TypeError):
    """A tokenizer's argument of the wrong type."""


class TemplateError(DovetailError, ValueError):
    """A chat template that is absent, invalid, unsafe, endless or too long."""


class GenerationError(DovetailError, ValueError):
    """Arguments of ``generate`` that contradict each other, the model or the input."""


class PipelineError(DovetailError, ValueError):
    """A pipeline that cannot be made, or an input it cannot take."""


class ProcessorError(DovetailError, ValueError):
    """A processor's settings or input that cannot be."""


class RemoteCodeError(DovetailError, ValueError):
    """A checkpoint wants to run its own code and the caller has not allowed it."""


LONGEST_NAME = 100
"""What is longer is no name; messages show the beginning."""


def quoted(value: object) -> str:
    """`value` as it stands in code, cut where a message would drown in it."""
    if isinstance(value, str) and len(value) > LONGEST_NAME:
        return f"{value[:LONGEST_NAME]!r}…"
    text = repr(value)
    return text if len(text) <= 3 * LONGEST_NAME else f"{text[: 3 * LONGEST_NAME]}…"


def near_matches(name: str, known: Iterable[str]) -> str:
    """A sentence such as `` Did you mean 'llama'?`` with at most five names, empty for none."""
    from difflib import get_close_matches  # wanted on failure alone

    if len(name) > LONGEST_NAME:
        return ""
    close = get_close_matches(name, list(known), n=5, cutoff=0.6)
    if not close:
        return ""
    return " Did you mean " + " or ".join(repr(match) for match in close) + "?"

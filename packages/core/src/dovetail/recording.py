"""Recording of hidden states and attention weights during a forward pass, so that no model has to
collect them itself.

`backbone` opens a `Recorder` for one forward pass and completes the output with what it holds;
`PreTrainedModel.run_layers` notes hidden states, `dovetail.layers.attention.attention` notes
weights.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from torch import Tensor

from dovetail.outputs import ModelOutput


class Recorder:
    """What one forward pass of a backbone leaves behind.

    A body whose last layer gives another state than it returns (before the final norm, say) notes
    it by `add_last_hidden_state`, else its output's is recorded.
    """

    def __init__(self, hidden_states: bool, attentions: bool, router_logits: bool = False) -> None:
        self.hidden_states, self.attentions = hidden_states, attentions
        self.router_logits = router_logits
        self.notes: dict[str, list[Tensor]] = {}
        self.last_hidden_state: Tensor | None = None
        self._open = True

    def add(self, name: str, tensor: Tensor) -> None:
        """Append `tensor` to the record `name`; ignored once the pass is over (gradient
        checkpointing runs layers again)."""
        if self._open:
            self.notes.setdefault(name, []).append(tensor)

    def add_hidden_state(self, tensor: Tensor) -> None:
        """Note a hidden state when they are wanted."""
        if self.hidden_states:
            self.add("hidden_states", tensor)

    def add_last_hidden_state(self, tensor: Tensor) -> None:
        """Note what comes out of the last layer, where that is not what the body returns."""
        self.last_hidden_state = tensor

    def add_router_logits(self, tensor: Tensor) -> None:
        """Note the logits of a router when they are wanted."""
        if self.router_logits:
            self.add("router_logits", tensor)

    def complete(self, output: ModelOutput) -> None:
        """Close the record and write it into `output`, the last hidden state after those between
        the layers."""
        self._open = False
        if self.hidden_states:
            last = self.last_hidden_state
            last = output["last_hidden_state"] if last is None else last
            self.notes.setdefault("hidden_states", []).append(last)
        for name, tensors in self.notes.items():
            setattr(output, name, tuple(tensors))


def backbone(forward: Callable[..., ModelOutput]) -> Callable[..., Any]:
    """Decorate the forward pass of a model's body.

    Adds the arguments `output_attentions`, `output_hidden_states` and `return_dict` (defaults from
    the config), and `output_router_logits` to models whose config has it; the decorated function
    receives ``recorder`` (None when nothing is recorded) and passes it to its layers.
    """

    @wraps(forward)
    def run(
        self: Any,
        *args: Any,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        config = self.config
        attentions = config.output_attentions if output_attentions is None else output_attentions
        hidden_states = (
            config.output_hidden_states if output_hidden_states is None else output_hidden_states
        )
        router_logits = getattr(config, "output_router_logits", False)
        if "output_router_logits" in vars(config):
            given = kwargs.pop("output_router_logits", None)
            router_logits = router_logits if given is None else given
        wanted = (hidden_states, attentions, router_logits)
        recorder = Recorder(*wanted) if any(wanted) else None
        output = forward(self, *args, recorder=recorder, **kwargs)
        if recorder is not None:
            recorder.complete(output)
        return output if _wants_dict(self, return_dict) else output.to_tuple()

    return run


def task_head(forward: Callable[..., ModelOutput]) -> Callable[..., Any]:
    """Decorate the forward pass of a task head: adds `return_dict`; what the body recorded is in
    its output already."""

    @wraps(forward)
    def run(self: Any, *args: Any, return_dict: bool | None = None, **kwargs: Any) -> Any:
        output = forward(self, *args, **kwargs)
        return output if _wants_dict(self, return_dict) else output.to_tuple()

    return run


def _wants_dict(model: Any, return_dict: bool | None) -> bool:
    return model.config.use_return_dict if return_dict is None else return_dict

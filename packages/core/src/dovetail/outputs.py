"""What models return: typed records that act as attribute bag, mapping and tuple at once; fields
left at None do not count.

Shapes: ``loss`` (), ``logits`` (B, T, V) or (B, labels), ``last_hidden_state`` (B, T, D), each of
``hidden_states`` (B, T, D), each of ``attentions`` (B, H, T, S).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import Tensor
from torch.utils import _pytree

from dovetail.caches import Cache

Tensors = tuple[Tensor, ...]


class ModelOutput(dict[str, Any]):
    """Base of all outputs.

    ``output.logits``, ``output["logits"]``, ``output[0]`` and ``output.to_tuple()`` agree.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _pytree.register_pytree_node(
            cls,
            lambda output: (list(output.values()), (type(output), list(output))),
            lambda values, context: context[0](**dict(zip(context[1], values, strict=True))),
            serialized_type_name=f"{cls.__module__}.{cls.__qualname__}",
        )

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if value is not None:
            late = name not in self
            super().__setitem__(name, value)
            if late:
                self._restore_order(name)
        elif name in self:
            super().__delitem__(name)

    def _restore_order(self, name: str) -> None:
        """Move fields that stand before `name` by mistake, it having been set late, behind it."""
        order = list(getattr(type(self), "__dataclass_fields__", ()))
        for later in order[order.index(name) + 1 :] if name in order else ():
            if later in self:
                super().__setitem__(later, self.pop(later))

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(self, name, value)

    def __getitem__(self, key: str | int | slice) -> Any:
        return super().__getitem__(key) if isinstance(key, str) else self.to_tuple()[key]

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getitem__(name)
        except KeyError:
            raise AttributeError(
                f"{type(self).__name__} has no field {name!r}; it holds {list(self)}"
            ) from None

    def update(  # type: ignore[override] # one signature for the three of a mapping
        self, other: Mapping[str, Any] | Iterable[tuple[str, Any]] = (), **fields: Any
    ) -> None:
        """Set several fields."""
        for name, value in dict(other, **fields).items():
            setattr(self, name, value)

    def to_tuple(self) -> tuple[Any, ...]:
        """All fields that are not None, in declared order."""
        order = getattr(type(self), "__dataclass_fields__", self)
        return tuple(super(ModelOutput, self).__getitem__(name) for name in order if name in self)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), dict(self))


Output = TypeVar("Output", bound=ModelOutput)


def _rebuild(cls: type[ModelOutput], fields: dict[str, Any]) -> ModelOutput:
    return cls(**fields)


@dataclass
class BaseModelOutput(ModelOutput):
    last_hidden_state: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


@dataclass
class BaseModelOutputWithPooling(ModelOutput):
    last_hidden_state: Tensor | None = None
    pooler_output: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


@dataclass
class BaseModelOutputWithPast(ModelOutput):
    last_hidden_state: Tensor | None = None
    past_key_values: Cache | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


@dataclass
class MoeModelOutputWithPast(BaseModelOutputWithPast):
    """`router_logits` are (B * T, experts) for each layer that has experts."""

    router_logits: Tensors | None = None


@dataclass
class BaseModelOutputWithCrossAttentions(BaseModelOutput):
    cross_attentions: Tensors | None = None


@dataclass
class BaseModelOutputWithPastAndCrossAttentions(BaseModelOutputWithPast):
    cross_attentions: Tensors | None = None


@dataclass
class BaseModelOutputWithPoolingAndCrossAttentions(ModelOutput):
    last_hidden_state: Tensor | None = None
    pooler_output: Tensor | None = None
    hidden_states: Tensors | None = None
    past_key_values: Cache | None = None
    attentions: Tensors | None = None
    cross_attentions: Tensors | None = None


@dataclass
class Seq2SeqModelOutput(ModelOutput):
    last_hidden_state: Tensor | None = None
    past_key_values: Cache | None = None
    decoder_hidden_states: Tensors | None = None
    decoder_attentions: Tensors | None = None
    cross_attentions: Tensors | None = None
    encoder_last_hidden_state: Tensor | None = None
    encoder_hidden_states: Tensors | None = None
    encoder_attentions: Tensors | None = None


@dataclass
class TaskOutput(ModelOutput):
    """Loss and logits, with what the backbone recorded."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


class CausalLMOutput(TaskOutput):
    pass


class MaskedLMOutput(TaskOutput):
    pass


class NextSentencePredictorOutput(TaskOutput):
    pass


class SequenceClassifierOutput(TaskOutput):
    pass


class MultipleChoiceModelOutput(TaskOutput):
    pass


class TokenClassifierOutput(TaskOutput):
    pass


@dataclass
class CausalLMOutputWithPast(ModelOutput):
    loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: Cache | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


@dataclass
class MoeCausalLMOutputWithPast(ModelOutput):
    """`aux_loss` () is the unweighed loss that balances experts; `router_logits` are (B * T,
    experts) for each layer that has experts."""

    loss: Tensor | None = None
    aux_loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: Cache | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None
    router_logits: Tensors | None = None


class SequenceClassifierOutputWithPast(CausalLMOutputWithPast):
    pass


@dataclass
class CausalLMOutputWithCrossAttentions(CausalLMOutputWithPast):
    cross_attentions: Tensors | None = None


@dataclass
class QuestionAnsweringModelOutput(ModelOutput):
    loss: Tensor | None = None
    start_logits: Tensor | None = None
    end_logits: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


@dataclass
class Seq2SeqLMOutput(ModelOutput):
    loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: Cache | None = None
    decoder_hidden_states: Tensors | None = None
    decoder_attentions: Tensors | None = None
    cross_attentions: Tensors | None = None
    encoder_last_hidden_state: Tensor | None = None
    encoder_hidden_states: Tensors | None = None
    encoder_attentions: Tensors | None = None


class Seq2SeqSequenceClassifierOutput(Seq2SeqLMOutput):
    pass


@dataclass
class Seq2SeqQuestionAnsweringModelOutput(ModelOutput):
    loss: Tensor | None = None
    start_logits: Tensor | None = None
    end_logits: Tensor | None = None
    past_key_values: Cache | None = None
    decoder_hidden_states: Tensors | None = None
    decoder_attentions: Tensors | None = None
    cross_attentions: Tensors | None = None
    encoder_last_hidden_state: Tensor | None = None
    encoder_hidden_states: Tensors | None = None
    encoder_attentions: Tensors | None = None


@dataclass
class BaseModelOutputWithNoAttention(ModelOutput):
    """For convolutional bodies: `last_hidden_state` and `hidden_states` are (B, C, H, W)."""

    last_hidden_state: Tensor | None = None
    hidden_states: Tensors | None = None


@dataclass
class BaseModelOutputWithPoolingAndNoAttention(ModelOutput):
    """As without pooling; `pooler_output` is (B, C, 1, 1) or (B, C), as the family has it."""

    last_hidden_state: Tensor | None = None
    pooler_output: Tensor | None = None
    hidden_states: Tensors | None = None


@dataclass
class BackboneOutput(ModelOutput):
    """`feature_maps` are (B, C, H, W), one for each chosen stage."""

    feature_maps: Tensors | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


class ImageClassifierOutput(TaskOutput):
    pass


@dataclass
class ImageClassifierOutputWithNoAttention(ModelOutput):
    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: Tensors | None = None


class SemanticSegmenterOutput(TaskOutput):
    """`logits` (B, labels, H, W), of a part of the picture's height and width."""


@dataclass
class DepthEstimatorOutput(ModelOutput):
    """`predicted_depth` is (B, H, W)."""

    loss: Tensor | None = None
    predicted_depth: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


@dataclass
class MaskedImageModelingOutput(ModelOutput):
    """`reconstruction` (B, C, H, W) is the whole picture with the masked patches filled in."""

    loss: Tensor | None = None
    reconstruction: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


def seq2seq_output(
    kind: type[Output], decoder: ModelOutput, encoder: ModelOutput, **fields: Any
) -> Output:
    """An output of class `kind` with `fields`, the cache, and what decoder and encoder recorded,
    under its field names."""
    return kind(
        **fields,
        past_key_values=decoder.get("past_key_values"),
        decoder_hidden_states=decoder.get("hidden_states"),
        decoder_attentions=decoder.get("attentions"),
        cross_attentions=decoder.get("cross_attentions"),
        encoder_last_hidden_state=encoder["last_hidden_state"],
        encoder_hidden_states=encoder.get("hidden_states"),
        encoder_attentions=encoder.get("attentions"),
    )

"""Task heads that any text architecture can wear: each class adds one head to a body.

A family's class names its body and inherits from a head and from its own base::

    class LlamaForCausalLM(ForCausalLM, LlamaPreTrainedModel):
        body_class = LlamaModel

The body is stored under ``base_model_prefix``, as checkpoints have it. Arguments that a head does
not know go to the body.
"""

from __future__ import annotations

import sys
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dovetail.generation import GenerationMixin
from dovetail.layers.projections import Linear
from dovetail.losses import (
    language_modeling_loss,
    load_balancing_loss,
    question_answering_loss,
    sequence_classification_loss,
    token_classification_loss,
)
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import (
    CausalLMOutputWithCrossAttentions,
    CausalLMOutputWithPast,
    MaskedLMOutput,
    ModelOutput,
    MoeCausalLMOutputWithPast,
    MultipleChoiceModelOutput,
    NextSentencePredictorOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    SequenceClassifierOutputWithPast,
    TokenClassifierOutput,
)
from dovetail.recording import task_head

STATES = ("hidden_states", "attentions")


class TaskHead(PreTrainedModel):
    """Builds the body; subclasses add their layers in `build_head`.

    The body of ``AcmeForTask`` is the class ``AcmeModel`` above it, unless `body_class` names one.
    """

    body_class: ClassVar[type[PreTrainedModel]]
    body_options: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        family, _, task = cls.__name__.partition("For")
        body = getattr(sys.modules.get(cls.__module__), f"{family}Model", None)
        if task and body is not None and not hasattr(cls, "body_class"):
            cls.body_class = body

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        setattr(self, self.base_model_prefix, self.body_class(config, **self.body_options))
        self.num_labels = config.num_labels
        self.build_head()
        self.post_init()

    def build_head(self) -> None:
        """Create the layers after the body, under the checkpoint's names."""

    @staticmethod
    def recorded(outputs: ModelOutput, names: tuple[str, ...]) -> dict[str, Any]:
        """What a head passes on from the body's `outputs`: those of `names` that are there."""
        return {name: outputs[name] for name in names if name in outputs}


class ForCausalLM(TaskHead, GenerationMixin):
    """Language modelling: next-token logits, tied to the embeddings when the config says so.

    Each position predicts the label after it or, with `shifts_labels` off, its own.
    """

    shifts_labels: ClassVar[bool] = True
    output_class: ClassVar[type[ModelOutput]] = CausalLMOutputWithPast
    _tied_weights_keys: ClassVar[dict[str, str]] = {"lm_head.weight": "input_embeddings"}

    def build_head(self) -> None:
        self.lm_head = Linear(self.config.hidden_size, self.config.vocab_size, bias=False)

    @task_head
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        labels: Tensor | None = None,
        logits_to_keep: int | Tensor = 0,
        num_logits_to_keep: int | None = 0,
        num_items_in_batch: Tensor | int | None = None,
        **kwargs: Any,
    ) -> ModelOutput:
        """Logits (B, T, V), of the last `logits_to_keep` positions when given, and the loss when
        `labels` (B, T) are given."""
        outputs = self.base_model(
            input_ids, attention_mask=attention_mask, return_dict=True, **kwargs
        )
        hidden_states = outputs.last_hidden_state
        keep = (
            logits_to_keep
            if isinstance(logits_to_keep, Tensor)
            else logits_to_keep or num_logits_to_keep or 0
        )
        if not isinstance(keep, int):
            hidden_states = hidden_states[:, keep]
        elif keep and keep < hidden_states.shape[1]:
            hidden_states = hidden_states[:, -keep:]
        logits = self.logits(hidden_states)
        loss = None
        if labels is not None:
            loss = language_modeling_loss(logits, labels, num_items_in_batch, self.shifts_labels)
        result = (
            CausalLMOutputWithCrossAttentions
            if "cross_attentions" in outputs
            else self.output_class
        )
        recorded = self.recorded(outputs, tuple(getattr(result, "__dataclass_fields__", ())))
        return result(loss=loss, logits=logits, **recorded)

    def logits(self, hidden_states: Tensor) -> Tensor:
        """Next-token logits of `hidden_states` (B, T, D)."""
        return self.lm_head(hidden_states)


class ForCausalLMWithExperts(ForCausalLM):
    """Language modelling by a body with experts, whose balance is a part of the loss."""

    output_class = MoeCausalLMOutputWithPast

    @task_head
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        labels: Tensor | None = None,
        output_router_logits: bool | None = None,
        **kwargs: Any,
    ) -> ModelOutput:
        """As `ForCausalLM`; with `output_router_logits` also those, and the loss that balances
        experts, which ``config.router_aux_loss_coef`` weighs."""
        output = super().forward(
            input_ids,
            attention_mask,
            labels=labels,
            output_router_logits=output_router_logits,
            return_dict=True,
            **kwargs,
        )
        if "router_logits" in output:
            output.aux_loss = load_balancing_loss(
                output.router_logits, self.config.num_experts_per_tok, attention_mask
            )
            if labels is not None:
                output.loss = output.loss + self.config.router_aux_loss_coef * output.aux_loss
        return output


class ForMaskedLM(TaskHead):
    """Prediction of masked tokens; a family defines `logits`."""

    @task_head
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> ModelOutput:
        """Logits (B, T, V); the loss counts the positions whose label is not -100."""
        outputs = self.base_model(
            input_ids, attention_mask=attention_mask, return_dict=True, **kwargs
        )
        logits = self.logits(outputs[0])
        loss = None if labels is None else language_modeling_loss(logits, labels, shift=False)
        return MaskedLMOutput(loss=loss, logits=logits, **self.recorded(outputs, STATES))


class ForNextSentencePrediction(TaskHead):
    """Whether the second sentence follows the first; a family defines `logits` of the pooled
    text."""

    @task_head
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> ModelOutput:
        """Logits (B, 2), index 0 for "follows", and their cross-entropy with `labels` (B,)."""
        outputs = self.base_model(
            input_ids, attention_mask=attention_mask, return_dict=True, **kwargs
        )
        logits = self.logits(outputs.pooler_output)
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels.view(-1))
        recorded = self.recorded(outputs, STATES)
        return NextSentencePredictorOutput(loss=loss, logits=logits, **recorded)


class ForSequenceClassification(TaskHead):
    """Classification by a decoder: the last real token of each text decides."""

    def build_head(self) -> None:
        self.score = Linear(self.config.hidden_size, self.num_labels, bias=False)

    @task_head
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> ModelOutput:
        """Logits (B, labels) and the loss by ``config.problem_type``."""
        outputs = self.base_model(
            input_ids, attention_mask, inputs_embeds=inputs_embeds, return_dict=True, **kwargs
        )
        logits = self.score(outputs.last_hidden_state)
        pooled = logits[
            torch.arange(len(logits), device=logits.device), self.last_tokens(input_ids, logits)
        ]
        loss = None if labels is None else sequence_classification_loss(pooled, labels, self.config)
        recorded = self.recorded(outputs, ("past_key_values", *STATES))
        return SequenceClassifierOutputWithPast(loss=loss, logits=pooled, **recorded)

    def last_tokens(self, input_ids: Tensor | None, logits: Tensor) -> Tensor:
        """Index of the last token before the padding of each text; without ids or padding token,
        simply the last."""
        pad = self.config.pad_token_id
        if pad is None and len(logits) != 1:
            raise ValueError(
                "Classifying a batch needs config.pad_token_id, which is None: "
                "set it to the tokenizer's."
            )
        if pad is None or input_ids is None:
            return logits.new_full((len(logits),), -1, dtype=torch.long)
        first_padding = input_ids.eq(pad).int().argmax(-1)
        return (first_padding - 1) % input_ids.shape[-1]


class PooledClassification(TaskHead):
    """Classification by an encoder: dropout and a linear layer over the pooled first token."""

    def build_head(self) -> None:
        self.dropout = nn.Dropout(classifier_dropout(self.config))
        self.classifier = Linear(self.config.hidden_size, self.num_labels)

    @task_head
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> ModelOutput:
        """Logits (B, labels) and the loss by ``config.problem_type``."""
        outputs = self.base_model(
            input_ids, attention_mask=attention_mask, return_dict=True, **kwargs
        )
        logits = self.classifier(self.dropout(outputs.pooler_output))
        loss = None if labels is None else sequence_classification_loss(logits, labels, self.config)
        return SequenceClassifierOutput(loss=loss, logits=logits, **self.recorded(outputs, STATES))


class ForMultipleChoice(TaskHead):
    """Choice among C texts per example: inputs are (B, C, T), one score per text."""

    def build_head(self) -> None:
        self.dropout = nn.Dropout(classifier_dropout(self.config))
        self.classifier = Linear(self.config.hidden_size, 1)

    @task_head
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> ModelOutput:
        """Logits (B, C) and their cross-entropy with `labels` (B,)."""
        given = input_ids if input_ids is not None else inputs_embeds
        if given is None:
            raise ValueError("Give input_ids (batch, choices, length) or inputs_embeds.")
        flat = {
            name: value.flatten(0, 1) if isinstance(value, Tensor) and value.dim() > 2 else value
            for name, value in dict(
                kwargs, input_ids=input_ids, attention_mask=attention_mask
            ).items()
        }
        embeds = None if inputs_embeds is None else inputs_embeds.flatten(0, 1)
        outputs = self.base_model(**flat, inputs_embeds=embeds, return_dict=True)
        logits = self.classifier(self.dropout(outputs.pooler_output)).view(-1, given.shape[1])
        loss = (
            None
            if labels is None
            else nn.functional.cross_entropy(logits, labels.to(logits.device))
        )
        return MultipleChoiceModelOutput(loss=loss, logits=logits, **self.recorded(outputs, STATES))


class ForTokenClassification(TaskHead):
    """One label per token.

    `classifier_name` is where the checkpoint keeps the layer.
    """

    classifier_name: ClassVar[str] = "score"

    def build_head(self) -> None:
        self.dropout = nn.Dropout(classifier_dropout(self.config))
        setattr(self, self.classifier_name, Linear(self.config.hidden_size, self.num_labels))

    @task_head
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> ModelOutput:
        """Logits (B, T, labels) and their cross-entropy with `labels` (B, T)."""
        outputs = self.base_model(
            input_ids, attention_mask=attention_mask, return_dict=True, **kwargs
        )
        logits = getattr(self, self.classifier_name)(self.dropout(outputs[0]))
        loss = None if labels is None else token_classification_loss(logits, labels)
        return TokenClassifierOutput(loss=loss, logits=logits, **self.recorded(outputs, STATES))


class ForQuestionAnswering(TaskHead):
    """Where in the text an answer starts and ends."""

    def build_head(self) -> None:
        self.qa_outputs = Linear(self.config.hidden_size, 2)

    @task_head
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        **kwargs: Any,
    ) -> ModelOutput:
        """Start and end logits (B, T); the loss when both positions (B,) are given."""
        outputs = self.base_model(
            input_ids, attention_mask=attention_mask, return_dict=True, **kwargs
        )
        start_logits, end_logits = self.qa_outputs(outputs[0]).unbind(-1)
        loss = None
        if start_positions is not None and end_positions is not None:
            loss = question_answering_loss(start_logits, end_logits, start_positions, end_positions)
        return QuestionAnsweringModelOutput(
            loss=loss,
            start_logits=start_logits.contiguous(),
            end_logits=end_logits.contiguous(),
            **self.recorded(outputs, STATES),
        )


def classifier_dropout(config: Any) -> float:
    """Dropout before a classifier: its own setting, else that of hidden states, else 0.1, whichever
    the config has."""
    for name in ("classifier_dropout", "hidden_dropout", "hidden_dropout_prob"):
        if getattr(config, name, None) is not None:
            return getattr(config, name)
    return 0.1

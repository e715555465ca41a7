"""What an author states about a model family, and what every battery of the kit derives from it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dovetail.caches import Cache
from dovetail.testing import seeded

BATCH, LENGTH = 2, 7
TEXT_HEADS = (
    "ForCausalLM",
    "ForConditionalGeneration",
    "ForMaskedLM",
    "LMHeadModel",
    "DoubleHeadsModel",
)
"""Endings of the classes whose labels are token ids."""
ONE_CLASS = (
    "ForAudioClassification",
    "ForSequenceClassification",
    "ForNextSentencePrediction",
    "ForImageClassification",
    "ForVideoClassification",
)
"""Endings of the classes whose labels are one class for each row."""
FIRST_WORD = 5
"""Token ids below are left to special tokens."""


class Subject:
    """The family under test. A subclass names `config_class`, `model_classes` and tiny `sizes`.

    `encoder_only` names the classes of an encoder-decoder family without a decoder. `unused` lists
    patterns of ``Class.parameter`` that get no gradient by design. `counts_left_padding` says that
    positions do, so that texts cannot be padded on the left. Override `inputs` or `labels`
    for peculiar classes. Test arguments choose classes: ``model_class`` all of them,
    ``task_class`` those with labels, ``generative_class`` those with ``generate``.
    """

    config_class: ClassVar[Any]
    model_classes: ClassVar[tuple[Any, ...]]
    sizes: ClassVar[Mapping[str, Any]]
    encoder_only: ClassVar[tuple[str, ...]] = ()
    unused: ClassVar[tuple[str, ...]] = ()
    counts_left_padding: ClassVar[bool] = False
    tolerance: ClassVar[float] = 1e-4

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Run each test for the classes its argument asks for."""
        choices = {
            "model_class": self.model_classes,
            "task_class": [c for c in self.model_classes if self.labels(c, self.config(), {})],
            "generative_class": [c for c in self.model_classes if c.can_generate()],
        }
        for argument in choices.keys() & set(metafunc.fixturenames):
            classes = choices[argument]
            metafunc.parametrize(argument, classes, ids=[c.__name__ for c in classes])

    def config(self, **changes: Any) -> Any:
        """A tiny config without dropout."""
        config = self.config_class(**{**self.sizes, **changes})
        set_dropout(config, 0.0)
        return config

    def build(self, model_class: Any, **changes: Any) -> Any:
        """A model in evaluation mode, without dropout, whose parameters have seeded values."""
        model = model_class._from_config(self.config(**changes)).eval()
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        fill(model)
        return model

    def tokens(self, config: Any, *shape: int, seed: str = "tokens") -> Tensor:
        """Ids of ordinary tokens, the last of each text being the one that ends it."""
        vocabulary = config.get_text_config().vocab_size
        ids = torch.from_numpy(seeded.integers(seed, shape, FIRST_WORD, vocabulary))
        end = config.eos_token_id
        if end is not None:
            ids[..., -1] = end[0] if isinstance(end, list) else end
        return ids

    def inputs(
        self, model_class: Any, config: Any, batch: int = BATCH, length: int = LENGTH
    ) -> dict[str, Any]:
        """Valid arguments of ``forward`` without labels; fewer rows are the first of more."""
        choices = model_class.__name__.endswith("ForMultipleChoice")
        shape = (batch, 3, length) if choices else (batch, length)
        inputs: dict[str, Any] = {"input_ids": self.tokens(config, *shape)}
        if self.has_decoder(model_class, config):
            inputs["decoder_input_ids"] = self.tokens(config, batch, length - 2, seed="target")
        return inputs

    def has_decoder(self, model_class: Any, config: Any) -> bool:
        """Whether `model_class` wants ``decoder_input_ids``; classifiers make their own."""
        name = model_class.__name__
        without = name in self.encoder_only or name.endswith("ForSequenceClassification")
        return bool(config.is_encoder_decoder) and not without

    def body_config(self, config: Any) -> Any:
        """The part of `config` that says how wide and deep the body is."""
        return config.get_text_config()

    def labels(self, model_class: Any, config: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments that make `model_class` compute its loss; empty for a body."""
        rows = len(next(iter(inputs.values()), range(BATCH)))
        ids = inputs.get(
            "decoder_input_ids", inputs.get("input_ids", torch.ones(rows, LENGTH).long())
        )
        classes = torch.arange(len(ids)) % max(config.num_labels, 1)
        name = model_class.__name__
        if name.endswith(TEXT_HEADS):
            return {"labels": ids}
        if name.endswith("ForTokenClassification"):
            return {"labels": ids % config.num_labels}
        if name.endswith("ForQuestionAnswering"):
            return {
                "start_positions": torch.ones(len(ids)).long(),
                "end_positions": torch.full((len(ids),), 3),
            }
        if name.endswith(ONE_CLASS):
            return {"labels": classes}
        if name.endswith("ForMultipleChoice"):
            return {"labels": torch.zeros(len(ids), dtype=torch.long)}
        if name.endswith("ForPreTraining"):
            return {"labels": ids, "next_sentence_label": classes}
        return {}

    def run(self, model: Any, inputs: Mapping[str, Any], **changes: Any) -> Any:
        """The output of `model`, without gradients."""
        with torch.no_grad():
            return model(**{**inputs, **changes})


def fill(model: nn.Module) -> None:
    """Give every parameter of `model` its seeded value."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            values = torch.from_numpy(seeded.weight(name, parameter.shape))
            parameter.copy_(values.to(parameter.dtype))


def set_dropout(config: Any, probability: float) -> int:
    """Set every dropout probability of `config`, nested ones too; returns how many there are."""
    count = 0
    for name, value in list(vars(config).items()):
        if hasattr(value, "model_type"):
            count += set_dropout(value, probability)
        elif isinstance(value, float) and ("dropout" in name or "pdrop" in name):
            setattr(config, name, probability)
            count += 1
    return count


def accepts(model: Any, argument: str) -> bool:
    """Whether the body of `model` takes `argument` by name."""
    return argument in inspect.signature(type(model.base_model).forward).parameters


def expect(condition: bool, message: str) -> None:
    """Fail the test with `message` unless `condition` holds."""
    if not condition:
        raise AssertionError(message)


def expect_close(ours: Any, other: Any, what: str, tolerance: float) -> None:
    """Fail unless two outputs, however nested, have one structure and values within `tolerance`."""
    ours, other = plain(ours), plain(other)
    if isinstance(ours, tuple | list):
        expect(len(ours) == len(other), f"{what}: {len(ours)} items against {len(other)}")
        for index, (a, b) in enumerate(zip(ours, other, strict=True)):
            expect_close(a, b, f"{what}.{index}", tolerance)
    elif isinstance(ours, Mapping):
        expect(list(ours) == list(other), f"{what}: fields {list(ours)} against {list(other)}")
        for name in ours:
            expect_close(ours[name], other[name], f"{what}.{name}".lstrip("."), tolerance)
    elif isinstance(ours, Tensor):
        expect(ours.shape == other.shape, f"{what}: shape {ours.shape} against {other.shape}")
        apart = (ours.double() - other.double()).abs().max().item() if ours.numel() else 0.0
        expect(
            apart <= tolerance,
            f"{what}: values differ by up to {apart:.3g}, allowed is {tolerance}",
        )
    else:
        expect(ours == other, f"{what}: {ours!r} against {other!r}")


def plain(value: Any) -> Any:
    """A cache as the tuples it stands for, anything else as it is."""
    return value.to_legacy_cache() if isinstance(value, Cache) else value

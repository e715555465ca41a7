"""Descriptions of golden cases as data: a family lists classes and variants, presets supply calls.

Inputs are written the way the golden file stores them (see `dovetail.testing.golden`): plain JSON
values, ``{"ints": nested}``, ``{"values": nested}``, ``{"floats": shape, "seed": name}``,
``{"together": nested}``, ``{"tuple": [...]}``, ``{"fields": {...}}`` and ``{"output": field}``,
which is a field of the previous step's output.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
Inputs = dict[str, Any]


def load_testing(module: str) -> ModuleType:
    """A module of `dovetail.testing`, by path: the reference's environment holds no dovetail."""
    name = f"golden_{module}"
    if name not in sys.modules:
        path = ROOT / f"packages/core/src/dovetail/testing/{module}.py"
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ImportError(f"cannot load {path}")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


seeded = load_testing("seeded")


@dataclass
class Call:
    """One run of a model: the inputs of each step, and what is recorded.

    `blank` names the mask whose zeros mark positions that implementations may fill as they like.
    `gradients` records those of every parameter after ``loss.backward()``; in `training` mode batch
    norm uses the batch's statistics. `without` are outputs that are not recorded.
    """

    name: str
    steps: list[Inputs]
    method: str = "forward"
    blank: str | None = None
    gradients: bool = False
    training: bool = False
    without: tuple[str, ...] = ()


@dataclass
class Case:
    """One class with one config is one golden file. `arguments` go to its constructor; the config
    is of the family's class unless `config_class` names another."""

    name: str
    model: str
    config: Inputs
    calls: list[Call]
    arguments: Inputs = field(default_factory=dict)
    config_class: str | None = None


@dataclass
class Family:
    """All cases of one architecture. `prepare` corrects what the reference gets wrong."""

    package: str
    model_type: str
    config_class: str
    sizes: Inputs
    recipes: dict[str, tuple[float, float]] = field(default_factory=dict)
    cases: list[Case] = field(default_factory=list)
    prepare: Callable[[], None] | None = None

    def case(
        self,
        model: str,
        calls: Iterable[Call],
        variant: str = "",
        *,
        arguments: Inputs | None = None,
        **config: Any,
    ) -> None:
        """Add a case; `config` overrides the family's sizes and `variant` tells its file apart."""
        name = f"{model}-{variant}" if variant else model
        self.cases.append(Case(name, model, {**self.sizes, **config}, list(calls), arguments or {}))

    def part(
        self,
        model: str,
        config_class: str,
        config: Inputs,
        calls: Iterable[Call],
        variant: str = "",
        **arguments: Any,
    ) -> None:
        """Add a case of a class that is a part of the architecture, with a config of its own."""
        name = f"{model}-{variant}" if variant else model
        self.cases.append(Case(name, model, config, list(calls), arguments, config_class))


def call(name: str, *steps: Inputs, **options: Any) -> Call:
    """A `Call` of `steps`."""
    return Call(name, list(steps), **options)


def ints(values: Any) -> Inputs:
    """Integers, as written."""
    return {"ints": values}


def booleans(numbers: Any) -> Inputs:
    """Booleans, written as ones and zeros."""
    return {"bools": numbers}


def values(numbers: Any) -> Inputs:
    """Float numbers, as written."""
    return {"values": numbers}


def floats(seed: str, *shape: int, spread: float = 1.0) -> Inputs:
    """Float numbers of which only the recipe is stored."""
    return {"floats": list(shape), "seed": seed, "spread": spread}


def together(nested: Any) -> Inputs:
    """Tensors in nested lists as one, with zeros where they are smaller."""
    return {"together": nested}


def token_ids(seed: str, *shape: int, low: int = 5, high: int = 99) -> Inputs:
    """Token ids without the special ones below `low`."""
    return ints(seeded.integers(seed, shape, low, high).tolist())


def padded(seed: str, mask: Inputs, pad_token_id: int = 0) -> Inputs:
    """Token ids with the padding token where `mask` is zero, and the mask."""
    keep = seeded.np.array(mask["ints"])
    ids = seeded.integers(seed, keep.shape, 5, 99)
    ids[keep == 0] = pad_token_id
    return {"input_ids": ints(ids.tolist()), "attention_mask": mask}


def ones(*shape: int) -> Inputs:
    """A tensor of ones."""
    return ints(seeded.np.ones(shape, dtype=int).tolist())


def padding(width: int, *lengths: int, left: bool = False) -> Inputs:
    """A mask with `lengths` ones per row."""
    rows = [[1] * length + [0] * (width - length) for length in lengths]
    return ints([row[::-1] for row in rows] if left else rows)


EVERYTHING: Inputs = {"output_hidden_states": True, "output_attentions": True}
WIDTH = 32
"""Hidden width of the presets' float inputs: families keep it."""


def encoder_calls(width: int = WIDTH, **extra: Any) -> list[Call]:
    """Calls of a bidirectional base model. `extra` inputs join each call."""
    return [
        call("plain", {"input_ids": token_ids("plain", 2, 7), **EVERYTHING, **extra}),
        call(
            "padding",
            {
                **padded("padding", padding(6, 6, 4, 1)),
                **EVERYTHING,
                **extra,
            },
        ),
        call("embeds", {"inputs_embeds": floats("embeds", 2, 5, width), **extra}),
    ]


def decoder_calls(width: int = WIDTH, positions: bool = True) -> list[Call]:
    """Calls of a causal base model: padding on either side, embeddings, positions, a cache."""
    left = padding(6, 6, 4, 2, left=True)
    calls = [
        call("plain", {"input_ids": token_ids("plain", 2, 7), "use_cache": True, **EVERYTHING}),
        call("no-cache", {"input_ids": token_ids("plain", 2, 7), "use_cache": False}),
        call(
            "right-padding",
            {
                **padded("right", padding(6, 6, 4, 2)),
                **EVERYTHING,
            },
        ),
        call(
            "left-padding",
            {"input_ids": token_ids("left", 3, 6), "attention_mask": left, **EVERYTHING},
            blank="attention_mask",
        ),
        call("embeds", {"inputs_embeds": floats("embeds", 2, 5, width), "use_cache": True}),
        *continuations(),
    ]
    if positions:
        position_ids = ints([[0, 1, 2, 3, 4], [3, 4, 5, 9, 11]])
        calls.append(
            call(
                "positions",
                {"input_ids": token_ids("positions", 2, 5), "position_ids": position_ids},
            )
        )
    return calls


def continuations(more: int = 3) -> list[Call]:
    """Five tokens, then `more` and one more on the cache, without and with left padding."""
    past = {"past_key_values": {"output": "past_key_values"}, "use_cache": True}
    first, second, third = (
        token_ids(f"continue-{step}", 2, n) for step, n in enumerate((5, more, 1))
    )
    plain = [
        {"input_ids": first, "use_cache": True},
        {"input_ids": second, **past},
        {"input_ids": third, **past, **EVERYTHING},
    ]
    lengths = (5, 3), (6, 4)
    masked = [
        {
            "input_ids": first,
            "use_cache": True,
            "attention_mask": padding(5, *lengths[0], left=True),
            "position_ids": ints([[0, 1, 2, 3, 4], [1, 1, 0, 1, 2]]),
        },
        {
            "input_ids": third,
            **past,
            "attention_mask": padding(6, *lengths[1], left=True),
            "position_ids": ints([[5], [3]]),
        },
    ]
    return [
        call("continuation", *plain),
        call("padded-continuation", *masked, blank="attention_mask"),
    ]


def generation_calls(pad_token_id: int = 0, left: bool = True, **extra: Any) -> list[Call]:
    """Greedy and beam search, alone and in a padded batch; decoders are padded on the `left`."""
    common = {"do_sample": False, "pad_token_id": pad_token_id, **extra}
    single = {"input_ids": token_ids("generate", 1, 5), "attention_mask": ones(1, 5), **common}
    batch = {
        **padded("generate-batch", padding(5, 5, 3, left=left)),
        **common,
    }
    beams = {"num_beams": 3, "return_dict_in_generate": True, "output_scores": True}
    return [
        call("greedy", {**single, "max_new_tokens": 8}, method="generate"),
        call(
            "greedy-batch", {**batch, "max_new_tokens": 8, "min_new_tokens": 3}, method="generate"
        ),
        call(
            "greedy-scores",
            {
                **batch,
                "max_new_tokens": 3,
                "return_dict_in_generate": True,
                "output_scores": True,
                "output_logits": True,
            },
            method="generate",
        ),
        call(
            "beam",
            {**single, **beams, "max_new_tokens": 6, "num_return_sequences": 2},
            method="generate",
        ),
        call(
            "beam-batch",
            {**batch, **beams, "max_new_tokens": 6, "length_penalty": 0.5, "early_stopping": True},
            method="generate",
        ),
        call(
            "greedy-processors",
            {
                **batch,
                "max_new_tokens": 8,
                "repetition_penalty": 1.3,
                "no_repeat_ngram_size": 2,
                "bad_words_ids": [[7], [11, 13]],
            },
            method="generate",
        ),
    ]


def seq2seq_calls(width: int = WIDTH) -> list[Call]:
    """Calls of an encoder-decoder base model."""
    source, target = token_ids("source", 2, 7), token_ids("target", 2, 4)
    mask = padding(7, 7, 4)
    past = {"past_key_values": {"output": "past_key_values"}, "use_cache": True}
    first = {
        "input_ids": source,
        "attention_mask": mask,
        "decoder_input_ids": target,
        "use_cache": True,
    }
    encoded = {
        "encoder_outputs": {"tuple": [floats("encoded", 2, 7, width)]},
        "attention_mask": mask,
    }
    embeds = {
        "inputs_embeds": floats("embeds", 2, 5, width),
        "decoder_inputs_embeds": floats("decoder", 2, 3, width),
    }
    return [
        call(
            "plain",
            {"input_ids": source, "decoder_input_ids": target, "use_cache": True, **EVERYTHING},
        ),
        call("padding", {**first, "decoder_attention_mask": padding(4, 4, 2), **EVERYTHING}),
        call("no-cache", {**first, "use_cache": False}),
        call("encoded", {**encoded, "decoder_input_ids": target, **EVERYTHING}),
        call("embeds", embeds),
        call(
            "continuation",
            first,
            {**encoded, "decoder_input_ids": token_ids("more", 2, 2), **past},
            {**encoded, "decoder_input_ids": token_ids("last", 2, 1), **past, **EVERYTHING},
        ),
    ]


def causal_lm_calls(**extra: Any) -> list[Call]:
    """Calls of a causal language model: loss and gradients, padding, a cache, generation."""
    labels = ints([[7, -100, 9, 10, 11, 12, 13], [20, 21, 22, 23, -100, -100, 24]])
    return [
        call(
            "loss",
            {"input_ids": token_ids("plain", 2, 7), "labels": labels, **EVERYTHING, **extra},
            gradients=True,
        ),
        call(
            "left-padding",
            {
                **padded("left", padding(6, 6, 4, 2, left=True)),
            },
            blank="attention_mask",
        ),
        call("continuation", *continuations()[0].steps),
        *generation_calls(),
    ]


def labelled(
    name: str, shape: tuple[int, ...], mask: Inputs | None, gradients: bool = True, **labels: Any
) -> list[Call]:
    """A call with labels and one without, both on `shape` tokens."""
    inputs = {"input_ids": token_ids(name, *shape)} if mask is None else padded(name, mask)
    return [
        call("loss", {**inputs, **labels}, gradients=gradients),
        call("plain", {**inputs, **EVERYTHING}),
    ]


def sequence_classification(
    family: Family, model: str, prepare: Mapping[str, Any] | None = None, **config: Any
) -> None:
    """One case per ``problem_type``, the inferred ones too. `prepare` replaces inputs."""
    targets: dict[str, tuple[int, str | None, Inputs]] = {
        "regression": (1, "regression", values([0.5, -1.25, 2.0])),
        "multi-regression": (2, "regression", values([[0.5, 1.0], [-1.25, 0.0], [2.0, -3.0]])),
        "single-label": (3, "single_label_classification", ints([2, 0, 1])),
        "multi-label": (
            4,
            "multi_label_classification",
            values([[1.0, 0.0, 0.0, 1.0], [0.0, 0.0, 1.0, 0.0], [1.0, 1.0, 1.0, 0.0]]),
        ),
        "inferred-regression": (1, None, values([0.5, -1.25, 2.0])),
        "inferred-single-label": (3, None, ints([2, 0, 1])),
        "inferred-multi-label": (
            4,
            None,
            values([[1.0, 0.0, 0.0, 1.0], [0.0, 0.0, 1.0, 0.0], [1.0, 1.0, 1.0, 0.0]]),
        ),
    }
    for variant, (num_labels, problem_type, labels) in targets.items():
        calls = labelled(
            "classify",
            (3, 6),
            padding(6, 6, 4, 3),
            gradients="inferred" not in variant,
            labels=labels,
        )
        for one in calls:
            one.steps[0].update(prepare or {})
        if "inferred" in variant:
            del calls[1:]
        family.case(
            model,
            calls,
            variant,
            num_labels=num_labels,
            **({"problem_type": problem_type} if problem_type else {}),
            **config,
        )


def token_classification(family: Family, model: str, **config: Any) -> None:
    """Labels for each token, some of them to be ignored."""
    labels = ints([[0, 1, 2, -100, 4, 0], [3, 3, -100, 1, -100, -100], [2, 0, 1, -100, -100, -100]])
    family.case(
        model,
        labelled("tokens", (3, 6), padding(6, 6, 4, 3), labels=labels),
        num_labels=5,
        **config,
    )


def question_answering(family: Family, model: str, **config: Any) -> None:
    """Positions inside the text, and one beyond it, which the loss must ignore."""
    spans = {"start_positions": ints([1, 9, 0]), "end_positions": ints([3, 2, 17])}
    family.case(model, labelled("answers", (3, 6), padding(6, 6, 4, 3), **spans), **config)

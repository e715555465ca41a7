"""Writes what the reference library's ``generate`` and logits processors do, for `tests/core`.

Runs in the reference library's environment: ``python scripts/golden/generation.py FOLDER``. The
model is a single layer of attention without position or cache, written out in plain torch;
`tests/core/test_generation_golden.py` builds the same one from Dovetail's parts, with a cache.
Weights and prompts come from names (`dovetail.testing.seeded`).
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor
from transformers import GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.generation import logits_process
from transformers.modeling_outputs import CausalLMOutput

ROOT = Path(__file__).parents[2]
SEEDED = ROOT / "packages/core/src/dovetail/testing/seeded.py"
VOCABULARY, WIDTH = 40, 16
DIGITS = 7


def load_seeded() -> Any:
    """The module of seeded values, loaded by its path because the library is not installed here."""
    spec = importlib.util.spec_from_file_location("seeded", SEEDED)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


seeded = load_seeded()


class TinyConfig(PretrainedConfig):
    """Sizes and special tokens."""

    model_type = "tiny-golden"
    vocab_size = VOCABULARY


class TinyLM(PreTrainedModel, GenerationMixin):
    """Logits of one attention layer over plain embeddings."""

    config_class = TinyConfig

    def __init__(self, config: TinyConfig) -> None:
        super().__init__(config)
        shapes = {"embed": (VOCABULARY, WIDTH), "head": (VOCABULARY, WIDTH)}
        shapes |= dict.fromkeys(("query", "key", "value"), (WIDTH, WIDTH))
        for name, shape in shapes.items():
            value = torch.from_numpy(seeded.noise(f"tiny.{name}", shape))
            self.register_parameter(name, torch.nn.Parameter(value))

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, return_dict: bool = True
    ) -> CausalLMOutput:
        """Logits (B, T, V)."""
        states = self.embed[input_ids]
        query, key, value = states @ self.query, states @ self.key, states @ self.value
        length = input_ids.shape[1]
        visible = torch.ones(length, length, dtype=torch.bool).tril()[None]
        if attention_mask is not None:
            visible = visible & attention_mask[:, None].bool()
        weights = (query @ key.mT / 16).masked_fill(~visible, torch.finfo(torch.float32).min)
        mixed = states + weights.softmax(-1) @ value
        logits = (mixed / mixed.std(-1, keepdim=True)) @ self.head.T
        return CausalLMOutput(logits=logits - states @ self.embed.T / 2)

    def prepare_inputs_for_generation(self, input_ids: Tensor, **kwargs: Any) -> dict[str, Any]:
        """The whole text, each time."""
        return {"input_ids": input_ids, "attention_mask": kwargs.get("attention_mask")}


def prompt(name: str, rows: int, length: int) -> list[list[int]]:
    """Token ids without the special ones (0 to 5)."""
    return seeded.integers(f"prompt.{name}", (rows, length), 6, VOCABULARY).tolist()


def padded(rows: list[list[int]]) -> dict[str, Any]:
    """Rows of different length, padded on the left, and their mask."""
    width = max(map(len, rows))
    return {
        "inputs": [[0] * (width - len(row)) + row for row in rows],
        "attention_mask": [[0] * (width - len(row)) + [1] * len(row) for row in rows],
    }


ONE, TWO, SHORT = prompt("one", 1, 6), prompt("two", 2, 5), [[6]]
RAGGED = padded([prompt("long", 1, 7)[0], prompt("short", 1, 3)[0], prompt("middle", 1, 5)[0]])
ENDS = {"eos_token_id": [7, 11, 19, 23], "pad_token_id": 0}
SCORED = {"return_dict_in_generate": True, "output_scores": True, "output_logits": True}
NEW = {"max_new_tokens": 12}

GREEDY = {
    "plain": {},
    "total length": {"max_new_tokens": None, "max_length": 16},
    "default length": {"max_new_tokens": None},
    "ends": ENDS,
    "scored": {**SCORED, **ENDS},
    "minimum": {**ENDS, "min_length": 12},
    "minimum of new tokens": {**ENDS, "min_new_tokens": 9, **SCORED},
    "repetition": {"repetition_penalty": 1.7, **SCORED},
    "encoder repetition": {"encoder_repetition_penalty": 2.5, **SCORED},
    "n-grams": {"no_repeat_ngram_size": 2},
    "single tokens": {"no_repeat_ngram_size": 1},
    "encoder n-grams": {"encoder_no_repeat_ngram_size": 1},
    "bad words": {"bad_words_ids": [[8], [30, 31], [25], [12, 13, 14], [38, 8]], **ENDS},
    "bias": {"sequence_bias": [[[9], 3.0], [[10], -4.0], [[9, 10], 20.0], [[9, 10, 15], 9.0]]},
    "forced end": {"forced_eos_token_id": 7},
    "suppressed": {"suppress_tokens": [8, 9, 12, 38]},
    "suppressed at first": {"begin_suppress_tokens": [6, 8, 9, 12, 21, 38]},
    "decay": {**ENDS, "exponential_decay_length_penalty": [3, 1.6], **SCORED},
    "normalised": {"renormalize_logits": True, "remove_invalid_values": True, **SCORED},
    "together": {"repetition_penalty": 1.3, "no_repeat_ngram_size": 2, "min_new_tokens": 4, **ENDS},
}
SAMPLED = {
    "plain": {"top_k": 0},
    "defaults": {},
    "ends": {**ENDS, "num_return_sequences": 3},
    "hot": {"temperature": 1.8, "top_k": 0},
    "top k": {"top_k": 4},
    "top p": {"top_k": 0, "top_p": 0.6},
    "top k and p": {"top_k": 6, "top_p": 0.8, "temperature": 0.7, "num_return_sequences": 2},
    "min p": {"top_k": 0, "min_p": 0.2, "temperature": 1.5},
    "typical": {"top_k": 0, "typical_p": 0.5},
    "epsilon": {"top_k": 0, "epsilon_cutoff": 0.02},
    "eta": {"top_k": 0, "eta_cutoff": 0.05},
    "equal scores": {"top_p": 0.1, "forced_eos_token_id": [8, 9]},
    "scored": {"top_p": 0.9, "repetition_penalty": 1.2, **SCORED},
}
BEAMS = {
    "two": {"num_beams": 2},
    "scored": {"num_beams": 4, "num_return_sequences": 4, **SCORED, **ENDS},
    "ends": {"num_beams": 3, **ENDS},
    "one end": {"num_beams": 3, "eos_token_id": 7, "pad_token_id": 0, **SCORED},
    "end as padding": {"num_beams": 3, "eos_token_id": [7, 11], "pad_token_id": 7},
    "early": {"num_beams": 4, "early_stopping": True, **ENDS, **SCORED},
    "never": {"num_beams": 4, "early_stopping": "never", **ENDS, **SCORED},
    "never, short": {"num_beams": 4, "early_stopping": "never", "length_penalty": -1.5, **ENDS},
    "long": {"num_beams": 4, "length_penalty": 2.0, "num_return_sequences": 2, **ENDS, **SCORED},
    "short": {"num_beams": 4, "length_penalty": -1.0, "num_return_sequences": 3, **ENDS, **SCORED},
    "sums": {"num_beams": 5, "length_penalty": 0.0, "num_return_sequences": 5, **ENDS, **SCORED},
    "processed": {
        "num_beams": 3,
        "no_repeat_ngram_size": 2,
        "repetition_penalty": 1.3,
        "min_length": 11,
        **ENDS,
    },
    "bad words": {
        "num_beams": 3,
        "bad_words_ids": [[8], [30, 31], [12, 13]],
        "renormalize_logits": True,
        **SCORED,
    },
}
BEAM_SAMPLED = {
    "plain": {"num_beams": 3},
    "ends": {"num_beams": 4, "top_k": 0, "num_return_sequences": 2, **ENDS, **SCORED},
    "warped": {"num_beams": 3, "top_p": 0.8, "temperature": 1.4, **ENDS, **SCORED},
}


def cases() -> list[dict[str, Any]]:
    """All calls: a name, arguments of ``generate`` and, where tokens are drawn, a seed."""
    prompts = {"one": {"inputs": ONE}, "two": {"inputs": TWO}, "ragged": RAGGED}
    tables = (
        ("greedy", GREEDY),
        ("sampled", SAMPLED),
        ("beams", BEAMS),
        ("beam-sampled", BEAM_SAMPLED),
    )
    made = []
    for kind, table in tables:
        for which, given in prompts.items():
            for name, options in table.items():
                extra = {"do_sample": True} if "sampled" in kind else {}
                made.append(
                    {
                        "name": f"{kind}/{which}/{name}",
                        "arguments": {**NEW, **given, **extra, **options},
                    }
                )
    forced = {
        "inputs": SHORT,
        **NEW,
        "forced_bos_token_id": 20,
        "begin_suppress_tokens": [8, 9, 38],
    }
    made.append({"name": "greedy/short/forced begin", "arguments": forced})
    return made


def run(model: TinyLM, case: dict[str, Any]) -> dict[str, Any]:
    """The case with what came out."""
    torch.manual_seed(3)
    arguments = dict(case["arguments"])
    for name in ("inputs", "attention_mask"):
        if name in arguments:
            arguments[name] = torch.tensor(arguments[name])
    result = model.generate(**arguments)
    if torch.is_tensor(result):
        return {**case, "sequences": result.tolist()}
    output = {**case, "sequences": result.sequences.tolist()}
    for name in ("scores", "logits"):
        steps = torch.stack(getattr(result, name), 1)
        steps = steps.masked_fill(steps.isinf(), -50)
        output[name] = seeded.fingerprint(steps.numpy(), name)
    for name in ("beam_indices", "sequences_scores"):
        if result.get(name) is not None:
            output[name] = result[name].tolist()
    indices = result.get("beam_indices")
    for normalize in (False, True):
        moves = model.compute_transition_scores(result.sequences, result.scores, indices, normalize)
        output[f"transitions_{normalize}".lower()] = rounded(moves)
    return output


def rounded(tensor: Tensor) -> Any:
    """As nested lists, infinities by name."""
    flat = [value if abs(value) < 1e30 else str(value) for value in tensor.flatten().tolist()]
    flat = [round(value, DIGITS) if isinstance(value, float) else value for value in flat]
    width = tensor.shape[-1]
    return [flat[start : start + width] for start in range(0, len(flat), width)]


IDS = [[3, 5, 9, 3, 5], [1, 1, 2, 7, 1], [4, 6, 4, 6, 4]]
SOURCE = [[3, 5, 11, 2], [1, 8, 1, 9], [6, 4, 7, 0]]
KEEP = (1, 3)
ENDING = {"eos_token_id": [2, 4]}


def warpers() -> list[tuple[str, dict[str, Any]]]:
    """Warpers with several strengths, each with one and several tokens to keep."""
    strengths = {
        "TopKLogitsWarper": ("top_k", (2, 5)),
        "TopPLogitsWarper": ("top_p", (0.0, 0.4, 0.95, 1.0)),
        "MinPLogitsWarper": ("min_p", (0.1, 0.8)),
        "TypicalLogitsWarper": ("mass", (0.2, 0.9)),
        "EpsilonLogitsWarper": ("epsilon", (0.03, 0.5)),
        "EtaLogitsWarper": ("epsilon", (0.03, 0.5)),
    }
    return [
        (name, {argument: value, "min_tokens_to_keep": keep})
        for name, (argument, values) in strengths.items()
        for value in values
        for keep in KEEP
    ]


def varied(
    name: str, argument: str, *values: Any, **others: Any
) -> list[tuple[str, dict[str, Any]]]:
    """A processor with several values of one argument."""
    return [(name, {argument: value, **others}) for value in values]


BAD_WORDS = {"bad_words_ids": [[3], [5, 6], [7, 1, 8], [9]], "eos_token_id": 9}
BIAS = {"sequence_bias": [[[3], 2.0], [[5, 6], -1.5], [[6, 4, 6], 4.0]]}
ENCODED = {"encoder_input_ids": SOURCE}
DECAY = "exponential_decay_length_penalty"
SKIPPED = {"prompt_length_to_skip": 3, "eos_token_id": 2}

PROCESSORS: list[tuple[str, dict[str, Any]]] = [
    ("TemperatureLogitsWarper", {"temperature": 0.7}),
    *warpers(),
    ("RepetitionPenaltyLogitsProcessor", {"penalty": 1.4}),
    ("EncoderRepetitionPenaltyLogitsProcessor", {"penalty": 1.4, **ENCODED}),
    *varied("NoRepeatNGramLogitsProcessor", "ngram_size", 1, 2, 3, 9),
    *varied("EncoderNoRepeatNGramLogitsProcessor", "encoder_ngram_size", 1, 2, **ENCODED),
    ("NoBadWordsLogitsProcessor", BAD_WORDS),
    ("SequenceBiasLogitsProcessor", BIAS),
    *varied("MinLengthLogitsProcessor", "min_length", 5, 6, **ENDING),
    *varied("MinNewTokensLengthLogitsProcessor", "min_new_tokens", 2, 3, **SKIPPED),
    ("ForcedBOSTokenLogitsProcessor", {"bos_token_id": 4}),
    *varied("ForcedEOSTokenLogitsProcessor", "max_length", 6, 7, **ENDING),
    *varied(
        "ExponentialDecayLengthPenalty", DECAY, [1, 1.5], [4, 1.5], input_ids_seq_length=2, **ENDING
    ),
    ("SuppressTokensLogitsProcessor", {"suppress_tokens": [0, 3, 11]}),
    *varied(
        "SuppressTokensAtBeginLogitsProcessor", "begin_index", 4, 5, begin_suppress_tokens=[0, 3]
    ),
    ("LogitNormalization", {}),
    ("InfNanRemoveLogitsProcessor", {}),
]


def processed(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """What a processor makes of seeded scores (3, 12)."""
    scores = torch.from_numpy(seeded.noise("processor scores", (3, 12), 0.0, 2.0))
    given = dict(arguments)
    if "encoder_input_ids" in given:
        given["encoder_input_ids"] = torch.tensor(given["encoder_input_ids"])
    for tokens in ("eos_token_id", "suppress_tokens", "begin_suppress_tokens"):
        if tokens in given and name != "NoBadWordsLogitsProcessor":
            given[tokens] = torch.tensor(given[tokens]).reshape(-1)
    if name == "NoBadWordsLogitsProcessor":
        given["eos_token_id"] = torch.tensor([given["eos_token_id"]])
    processor = getattr(logits_process, name)(**given)
    return {
        "processor": name,
        "arguments": arguments,
        "scores": rounded(processor(torch.tensor(IDS), scores)),
    }


def main(folder: Path) -> None:
    """Write both files."""
    transformers.logging.set_verbosity_error()
    model = TinyLM(TinyConfig(bos_token_id=1, eos_token_id=None, pad_token_id=0)).eval()
    versions = (
        f"transformers {transformers.__version__}, torch {torch.__version__.partition('+')[0]}"
    )
    calls = [run(model, case) for case in cases()]
    steps = [processed(name, arguments) for name, arguments in PROCESSORS]
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (("generate", calls), ("processors", steps)):
        lines = ",\n".join(json.dumps(entry) for entry in content)
        text = f'{{"reference": "{versions}", "cases": [\n{lines}\n]}}\n'
        (folder / f"{name}.json").write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

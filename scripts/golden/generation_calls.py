"""Tiny models and calls of ``generate``, the same for both libraries.

The producer runs them with the reference library, `tests/models_text/test_generation_golden.py`
with Dovetail; it loads this file by its path. `library` is the package with the classes, `seeded`
the module of seeded values (`dovetail.testing.seeded`). Weights come from their names, 1.5 times
as large as usual so that texts vary.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

COMMON = {"vocab_size": 64, "eos_token_id": 7, "bos_token_id": 1, "pad_token_id": 0}
DECODER = {"num_hidden_layers": 2, "hidden_size": 32}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128}
GEMMA2 = {
    **HEADS,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "head_dim": 8,
    "query_pre_attn_scalar": 8,
}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaForCausalLM", {**DECODER, **HEADS, "intermediate_size": 64}),
    "gpt2": ("GPT2LMHeadModel", {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}),
    "gemma2": ("Gemma2ForCausalLM", {**GEMMA2, "sliding_window": 32}),
    "gemma2_narrow": ("Gemma2ForCausalLM", {**GEMMA2, "sliding_window": 5}),
    "mamba": (
        "MambaForCausalLM",
        {"hidden_size": 32, "state_size": 8, "num_hidden_layers": 2, "time_step_rank": 4},
    ),
    "t5": (
        "T5ForConditionalGeneration",
        {
            "d_model": 32,
            "d_kv": 8,
            "d_ff": 64,
            "num_layers": 2,
            "num_heads": 4,
            "decoder_start_token_id": 0,
        },
    ),
    "bart": (
        "BartForConditionalGeneration",
        {
            "d_model": 32,
            "encoder_layers": 2,
            "decoder_layers": 2,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 4,
            "encoder_ffn_dim": 64,
            "decoder_ffn_dim": 64,
            "max_position_embeddings": 64,
            "decoder_start_token_id": 2,
            "forced_eos_token_id": None,
        },
    ),
}
TENSORS = ("decoder_input_ids", "negative_prompt_ids", "negative_prompt_attention_mask")
STEPS = ("scores", "logits")
LAYERS = (
    "attentions",
    "hidden_states",
    "decoder_attentions",
    "decoder_hidden_states",
    "cross_attentions",
    "encoder_attentions",
    "encoder_hidden_states",
)
FLOOR = -50.0  # stands for minus infinity where numbers are summed up


@dataclass(frozen=True)
class Calls:
    """What is done with one library."""

    library: Any
    seeded: Any

    @torch.no_grad()
    def build(self, name: str) -> Any:
        """The model called `name`, with the weights that belong to its parameters' names."""
        kind_name, sizes = MODELS[name]
        kind = getattr(self.library, kind_name)
        model = kind(kind.config_class(**COMMON, **sizes))
        for key, tensor in model.state_dict().items():
            value = self.seeded.weight(key, tuple(tensor.shape))
            tensor.copy_(torch.from_numpy(value) * 1.5)
        model.tie_weights()
        return model.eval()

    def prompts(self, seq2seq: bool, which: str = "ragged") -> tuple[Tensor, Tensor]:
        """Token ids and their mask: ``"ragged"`` rows of 7, 4 and 6 tokens, padded on the left but
        for an encoder; a ``"single"`` row; a ``"pair"`` of equal length; ``"repetitive"`` text.
        """
        if which == "repetitive":
            ids = torch.from_numpy(self.seeded.integers("repetitive prompt", (1, 4), 8, 64))
            return ids.repeat(1, 3), torch.ones(1, 12, dtype=torch.long)
        ids = torch.from_numpy(self.seeded.integers("generation prompts", (3, 7), 8, 64))
        mask = torch.ones_like(ids)
        if which != "ragged":
            rows = 1 if which == "single" else 2
            return ids[:rows], mask[:rows]
        for row, hidden in ((1, 3), (2, 1)):
            place = slice(7 - hidden, None) if seq2seq else slice(None, hidden)
            ids[row, place] = mask[row, place] = 0
        return ids, mask

    def draft(self, model: Any, share: float, **settings: Any) -> Any:
        """A model a little different: the same with its body's weights times `share`."""
        assistant = copy.deepcopy(model)
        for name, tensor in assistant.state_dict().items():
            if "norm" not in name and "ln_" not in name:
                tensor.mul_(share)
        for name, value in settings.items():
            setattr(assistant.generation_config, name, value)
        return assistant

    def arguments(self, model: Any, options: dict[str, Any]) -> dict[str, Any]:
        """Arguments of ``generate``, given `options` that JSON can hold.

        Besides settings these are ``prompt`` (see `prompts`), ``embedded`` (True: embeddings in
        place of ids, ``"too"``: beside them), ``drafted`` (settings of a draft model),
        ``phrases`` (constraints), ``allowed`` (tokens, in turn, by row and length) and
        ``multiples`` (a row stops after a multiple of it).
        """
        options = dict(options)
        ids, mask = self.prompts(model.config.is_encoder_decoder, options.pop("prompt", "ragged"))
        made = {"attention_mask": mask}
        embedded = options.pop("embedded", False)
        if embedded:
            made["inputs_embeds"] = model.get_input_embeddings()(ids).detach()
        if embedded in (False, "too"):
            made["input_ids"] = ids
        if (settings := options.pop("drafted", None)) is not None:
            made["assistant_model"] = self.draft(model, **settings)
        if (phrases := options.pop("phrases", None)) is not None:
            made["constraints"] = [self.constraint(phrase) for phrase in phrases]
        if (allowed := options.pop("allowed", None)) is not None:
            made["prefix_allowed_tokens_fn"] = in_turn(allowed)
        if (number := options.pop("multiples", None)) is not None:
            made["stopping_criteria"] = [lambda ids, scores, **_: ids[:, -1] % number == 0]
        made |= {name: torch.tensor(options.pop(name)) for name in TENSORS if name in options}
        return {**made, **options}

    def constraint(self, phrase: list[Any]) -> Any:
        """One phrase, or one of several."""
        nested = isinstance(phrase[0], list)
        return getattr(self.library, "DisjunctiveConstraint" if nested else "PhrasalConstraint")(
            phrase
        )

    def outcome(self, model: Any, options: dict[str, Any]) -> dict[str, Any]:
        """What one call returns: tokens as they are, floats as fingerprints."""
        options = dict(options)
        unrecorded = options.pop("unrecorded", ())
        drafted = "drafted" in options
        torch.manual_seed(options.pop("seed", 5))
        arguments = self.arguments(model, options)
        with counted(model) as passes:
            result = model.generate(**arguments)
        if torch.is_tensor(result):
            return {"sequences": result.tolist()}
        names = [name for name in result if name != "past_key_values"]
        made = {"class": type(result).__name__, "fields": names}
        made |= {"sequences": result.sequences.tolist()} | ({"passes": passes} if drafted else {})
        for name in STEPS:
            if result.get(name) is not None:
                made[name] = self.print([torch.stack(result[name], 1)], name)
        if result.get("beam_indices") is not None:
            made["beam_indices"] = result.beam_indices.tolist()
        if result.get("sequences_scores") is not None:
            made["sequences_scores"] = result.sequences_scores.tolist()
        for name in LAYERS:
            if result.get(name) is not None:
                made[name] = self.layers(result[name], name)
        if result.get("scores") is not None and "log_probabilities" not in unrecorded:
            made |= self.transitions(model, result)
        return {name: value for name, value in made.items() if name not in unrecorded}

    def layers(self, record: Any, name: str) -> dict[str, Any]:
        """Shapes of all tensors, step by step, and one fingerprint of all."""
        steps = [record] if name.startswith("encoder") else record
        tensors = [tensor for step in steps for tensor in step]
        shapes = [[list(tensor.shape) for tensor in step] for step in steps]
        return {"shapes": shapes, **self.print(tensors, name)}

    def transitions(self, model: Any, result: Any) -> dict[str, Any]:
        """Scores of the chosen tokens, as they are and as log-probabilities."""
        found = {}
        for normalize in (False, True):
            moves = model.compute_transition_scores(
                result.sequences, result.scores, result.get("beam_indices"), normalize
            )
            found["log_probabilities" if normalize else "transitions"] = self.print([moves], "")
        return found

    def print(self, tensors: list[Tensor], name: str) -> dict[str, Any]:
        """The fingerprint of all values in a row; of one tensor with its shape."""
        flat = torch.cat([tensor.float().flatten() for tensor in tensors]).clamp(min=FLOOR)
        if len(tensors) == 1:
            flat = flat.view(tensors[0].shape)
        return self.seeded.fingerprint(flat.numpy(), name)


def in_turn(allowed: list[list[int]]) -> Callable[[int, Tensor], list[int]]:
    """A function that allows one list of tokens after the other, another to begin with each row."""
    return lambda row, text: allowed[(row + len(text)) % len(allowed)]


@contextmanager
def counted(model: Any) -> Iterator[list[int]]:
    """A list that grows by the number of tokens of each pass of `model`."""
    passes: list[int] = []

    def note(module: Any, arguments: tuple[Any, ...], given: dict[str, Any]) -> None:
        ids = given.get("decoder_input_ids", given.get("input_ids"))
        passes.append(-1 if ids is None else ids.shape[1])

    hook = model.register_forward_pre_hook(note, with_kwargs=True)
    yield passes
    hook.remove()

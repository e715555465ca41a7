"""Calls of ``generate`` that are recorded with whole models, by strategy.

`generation_calls.Calls.arguments` says what stands in them besides settings; ``unrecorded`` names
what the reference (4.46.3) gets wrong, so that tests hold it against its definition:

* Groups of beams: ``beam_indices`` count within the group and the first prompt, so that scores of
  transitions do not sum up to those of sequences; where a group finished, the scores of its rows,
  which nobody reads, are of rows of another kind.
* Constraints: ``scores`` hold sums over the text in place of the last token's, and unfinished
  beams have no ``beam_indices``, so that scores can be asked for only where all beams finish.
  A branching alternative changes its own copies (``DisjunctiveConstraint.copy``).
* Contrastive search with ``low_memory`` fails for batches.
* Assisted decoding: attentions and hidden states of the second step are of another token.
* Prompt lookup needs an end token.
* Guidance follows its first beams, whichever go on; with Gemma 2's cache it fails.
* Gemma 2: its cache is wrong once a text with padding outgrows the window, and ``"static"`` fails.
* Mamba: beams that change places leave their states behind, guidance has no state at all.
* A watermark is applied before the warpers; newer releases and ours apply it last.
"""

from __future__ import annotations

from typing import Any

Case = dict[str, Any]
Table = dict[str, Case]

NEW = {"max_new_tokens": 10}
SCORED = {"return_dict_in_generate": True, "output_scores": True, "output_logits": True}
ALL = {**SCORED, "output_attentions": True, "output_hidden_states": True, "prompt": "pair"}
ENDS = {"eos_token_id": [7, 11, 19, 23, 35, 40]}
ENDLESS = {"eos_token_id": None}
ALONE = {"return_dict_in_generate": False, "output_scores": False, "output_logits": False}
SINGLE = {"prompt": "single"}
REPETITIVE = {"prompt": "repetitive"}

PROCESSED: Table = {
    "repetition": {"repetition_penalty": 1.7},
    "encoder repetition": {"encoder_repetition_penalty": 2.5},
    "n-grams": {"no_repeat_ngram_size": 2, **ENDLESS},
    "encoder n-grams": {"encoder_no_repeat_ngram_size": 1},
    "minimum": {"min_length": 12, **ENDS},
    "minimum of new tokens": {"min_new_tokens": 8, **ENDS},
    "bad words": {"bad_words_ids": [[8], [30, 31], [25], [12, 13, 14], [38, 8]]},
    "suppressed": {"suppress_tokens": [8, 9, 12, 38, 52, 53]},
    "suppressed at first": {"begin_suppress_tokens": [6, 8, 9, 12, 21, 38, 40, 44]},
    "bias": {"sequence_bias": [[[9], 3.0], [[10], -4.0], [[9, 10], 9.0], [[9, 10, 15], 9.0]]},
    "forced": {"forced_bos_token_id": 12, "forced_eos_token_id": 7, "min_new_tokens": 4},
    "decay": {"exponential_decay_length_penalty": [3, 1.6]},
    "allowed": {"allowed": [[9, 10, 11, 12], [20, 21, 22, 7], [30, 31, 32, 33, 34]]},
    "normalised": {"renormalize_logits": True, "remove_invalid_values": True},
    "marked": {"watermarking_config": {"bias": 3.0}, **ENDLESS},
    "marked by itself": {
        "watermarking_config": {"seeding_scheme": "selfhash", "context_width": 2},
        "repetition_penalty": 1.2,
    },
}
GREEDY: Table = {
    "greedy": {},
    "greedy, everything": ALL,
    "greedy, endless": ENDLESS,
    "greedy, ends": ENDS,
    "greedy, tokens alone": ALONE,
    "greedy, without cache": {"use_cache": False},
    "greedy, static cache": {"cache_implementation": "static"},
    "greedy, inferred mask": {"attention_mask": None},
    **{f"greedy, {name}": case for name, case in PROCESSED.items()},
}
BEAMS: Table = {
    "beams": {"num_beams": 3},
    "beams, everything": {"num_beams": 2, "num_return_sequences": 2, **ALL},
    "beams, all": {"num_beams": 4, "num_return_sequences": 4, **ENDS},
    "beams, endless": {"num_beams": 3, **ENDLESS},
    "beams, early": {"num_beams": 4, "early_stopping": True, "num_return_sequences": 3, **ENDS},
    "beams, never": {"num_beams": 4, "early_stopping": "never", **ENDS},
    "beams, never, short": {
        "num_beams": 4,
        "early_stopping": "never",
        "length_penalty": -1.5,
        **ENDS,
    },
    "beams, long": {"num_beams": 3, "length_penalty": 2.0, "num_return_sequences": 2, **ENDS},
    "beams, short": {"num_beams": 4, "length_penalty": -1.0, "num_return_sequences": 3, **ENDS},
    "beams, sums": {"num_beams": 5, "length_penalty": 0.0, "num_return_sequences": 5, **ENDS},
    "beams, tokens alone": {"num_beams": 3, **ALONE},
    "beams, without scores": {"num_beams": 3, "output_scores": False},
    "beams, without cache": {"num_beams": 3, "use_cache": False},
    "beams, static cache": {"num_beams": 2, "cache_implementation": "static"},
    "beams, processed": {
        "num_beams": 3,
        "no_repeat_ngram_size": 2,
        "repetition_penalty": 1.3,
        "min_length": 11,
        **ENDS,
    },
    "beams, allowed": {"num_beams": 3, **PROCESSED["allowed"]},
    "beams, biased": {
        "num_beams": 3,
        **PROCESSED["bad words"],
        **PROCESSED["bias"],
        "renormalize_logits": True,
    },
    "beams, forced": {"num_beams": 3, **PROCESSED["forced"]},
    "beams, marked": {"num_beams": 2, **PROCESSED["marked"]},
}
PATHS = {"unrecorded": ["beam_indices", "transitions", "log_probabilities"]}
FINISHED = {"unrecorded": [*PATHS["unrecorded"], "scores", "logits"]}
PAIRS = {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.6, **FINISHED}
GROUPS: Table = {
    "groups": {**PAIRS, "num_return_sequences": 3},
    "groups, endless": {**PAIRS, **ENDLESS, **PATHS},
    "groups, everything": {**PAIRS, **ALL, **PATHS, **ENDLESS, "max_new_tokens": 5},
    "groups, ends": {**PAIRS, "num_return_sequences": 4, "length_penalty": 1.5, **ENDS},
    "groups, early": {**PAIRS, "early_stopping": True, "num_return_sequences": 4, **ENDS},
    "groups, never": {**PAIRS, "early_stopping": "never", "length_penalty": -1.0, **ENDS},
    "groups, allowed": {**PAIRS, **PROCESSED["allowed"]},
    "groups, single beams": {
        **PAIRS,
        "num_beams": 3,
        "num_beam_groups": 3,
        "diversity_penalty": 2.0,
        "repetition_penalty": 1.2,
        "num_return_sequences": 3,
    },
}
WORDS = [[40, 41], [[50, 51], [52, 53, 54]]]
SUMS = {"unrecorded": ["scores", "transitions"]}
UNSCORED = {"output_scores": False}
CONSTRAINED: Table = {
    "words": {
        "num_beams": 4,
        "force_words_ids": WORDS,
        "num_return_sequences": 2,
        **UNSCORED,
    },
    "words, everything": {"num_beams": 3, "force_words_ids": [[40, 41]], **ALL, **SUMS},
    "words, one": {"num_beams": 2, "force_words_ids": [[45]], **ENDS, **SUMS},
    "words, long": {
        "num_beams": 4,
        "force_words_ids": WORDS,
        "length_penalty": 2.0,
        **ENDS,
        **UNSCORED,
    },
    "words, early": {
        "num_beams": 4,
        "force_words_ids": [[40]],
        "early_stopping": True,
        **ENDS,
        **SUMS,
    },
    "phrase": {"num_beams": 3, "phrases": [[33, 34, 35]], **UNSCORED},
    "phrases": {
        "num_beams": 5,
        "phrases": [[33, 34], [9, 10, 11]],
        "num_return_sequences": 3,
        **UNSCORED,
    },
    "alternatives": {
        "num_beams": 3,
        "phrases": [[[20, 21], [22, 23, 24], [25]]],
        **ENDLESS,
        **SUMS,
    },
    "phrase and alternatives": {
        "num_beams": 4,
        "phrases": [[60], [[20, 21], [22, 23, 24]]],
        "repetition_penalty": 1.2,
        **UNSCORED,
    },
}
STOPPED = {"multiples": 5, **ENDLESS}
CONTRASTED = {"penalty_alpha": 0.6, "top_k": 4}
CONTRASTIVE: Table = {
    "contrastive": CONTRASTED,
    "contrastive, everything": {**CONTRASTED, **ALL},
    "contrastive, ends": {**CONTRASTED, **ENDS},
    "contrastive, sparing": {**CONTRASTED, **SINGLE, "low_memory": True},
    "contrastive, penalised": {
        "penalty_alpha": 0.8,
        "top_k": 6,
        "repetition_penalty": 1.3,
        **ENDLESS,
    },
}
DOLA: Table = {
    "low layers": {"dola_layers": "low", "repetition_penalty": 1.2},
    "low layers, everything": {"dola_layers": "low", **ALL},
    "high layers": {"dola_layers": "high", **ENDLESS},
    "listed layers": {"dola_layers": [0, 1], **ENDS},
    "a layer": {"dola_layers": [1]},
    "layers, one text": {"dola_layers": [0, 1], **ENDLESS, **SINGLE},
}
CLOSE = {"drafted": {"share": 0.97}, **ENDLESS}
FAR = {"drafted": {"share": 0.8}}
TRIES = {"share": 0.97, "num_assistant_tokens": 3}
SECOND = {
    "unrecorded": [
        f"{prefix}{name}"
        for prefix in ("", "decoder_", "cross_")
        for name in ("attentions", "hidden_states")
    ]
}
ASSISTED: Table = {
    "assisted": {**CLOSE, **SINGLE},
    "assisted, everything": {**CLOSE, **ALL, **SINGLE, "max_new_tokens": 6, **SECOND},
    "assisted, far": {**FAR, **SINGLE},
    "assisted, constant": {
        "drafted": {**TRIES, "num_assistant_tokens_schedule": "constant"},
        **SINGLE,
    },
    "assisted, heuristic": {
        "drafted": {**TRIES, "num_assistant_tokens_schedule": "heuristic"},
        **ENDLESS,
        **SINGLE,
        "max_new_tokens": 14,
    },
    "assisted, for a time heuristic": {
        "drafted": {**TRIES, "num_assistant_tokens_schedule": "heuristic_transient"},
        **SINGLE,
    },
    "assisted, sure": {"drafted": {"share": 0.97, "assistant_confidence_threshold": 0}, **SINGLE},
    "assisted, ends": {"drafted": {"share": 0.97}, **ENDS, **SINGLE},
    "assisted, processed": {
        **CLOSE,
        "repetition_penalty": 1.3,
        "no_repeat_ngram_size": 2,
        **SINGLE,
    },
    "lookup": {"prompt_lookup_num_tokens": 4, **REPETITIVE},
    "lookup, everything": {
        "prompt_lookup_num_tokens": 3,
        **ALL,
        **REPETITIVE,
        "max_new_tokens": 6,
    },
    "lookup, longer": {
        "prompt_lookup_num_tokens": 5,
        "max_matching_ngram_size": 3,
        "eos_token_id": 3,
        **REPETITIVE,
        "max_new_tokens": 16,
    },
    "lookup, processed": {"prompt_lookup_num_tokens": 3, "repetition_penalty": 1.2, **SINGLE},
}
NEGATIVE = {
    "negative_prompt_ids": [[9, 11, 12], [0, 13, 14], [8, 8, 20]],
    "negative_prompt_attention_mask": [[1, 1, 1], [0, 1, 1], [1, 1, 1]],
}
GUIDED: Table = {
    "guided": {"guidance_scale": 1.7, **ENDLESS},
    "guided, everything": {"guidance_scale": 1.3, **ALL},
    "guided away": {"guidance_scale": 2.5, **NEGATIVE},
    "guided back": {"guidance_scale": 0.6, "repetition_penalty": 1.3},
    "guided, without cache": {"guidance_scale": 1.7, "use_cache": False, **ENDLESS},
}
DRAWN = {"do_sample": True}
SEEDS = (1, 5, 11)
SAMPLED: Table = {
    **{f"drawn, seed {seed}": {**DRAWN, "top_k": 0, "seed": seed} for seed in SEEDS},
    "drawn, everything": {**DRAWN, **ALL, "num_return_sequences": 2},
    "drawn, defaults": DRAWN,
    "drawn, ends": {**DRAWN, "num_return_sequences": 3, **ENDS},
    "drawn, hot": {**DRAWN, "temperature": 1.8, "top_k": 0},
    "drawn, top k": {**DRAWN, "top_k": 4, "num_return_sequences": 2},
    "drawn, top p": {**DRAWN, "top_k": 0, "top_p": 0.6},
    "drawn, top k and p": {**DRAWN, "top_k": 6, "top_p": 0.8, "temperature": 0.7},
    "drawn, min p": {**DRAWN, "top_k": 0, "min_p": 0.2, "temperature": 1.5},
    "drawn, typical": {**DRAWN, "top_k": 0, "typical_p": 0.5},
    "drawn, epsilon": {**DRAWN, "top_k": 0, "epsilon_cutoff": 0.02},
    "drawn, eta": {**DRAWN, "top_k": 0, "eta_cutoff": 0.05},
    "drawn, processed": {**DRAWN, "repetition_penalty": 1.3, "no_repeat_ngram_size": 2},
    "drawn, marked": {**DRAWN, **PROCESSED["marked"], "top_k": 0},
}
BEAM_SAMPLED: Table = {
    **{
        f"drawn beams, seed {seed}": {
            **DRAWN,
            "num_beams": 3,
            "top_k": 0,
            "num_return_sequences": 2,
            "seed": seed,
            **ENDS,
        }
        for seed in SEEDS
    },
    "drawn beams, everything": {**DRAWN, "num_beams": 2, **ALL, "max_new_tokens": 5},
    "drawn beams, warped": {**DRAWN, "num_beams": 3, "top_p": 0.8, "temperature": 1.4},
    "drawn beams, long": {**DRAWN, "num_beams": 3, "length_penalty": 2.0, **ENDS},
}
DRAWN_OTHERWISE: Table = {
    "drawn, low layers": {**DRAWN, "dola_layers": "low"},
    "drawn, a layer": {**DRAWN, "dola_layers": [1], "top_p": 0.9},
    "drawn, guided": {**DRAWN, "guidance_scale": 1.7, "top_k": 0},
}
DRAWN_WITH_HELP: Table = {
    **{
        f"assisted, drawn, seed {seed}": {**DRAWN, **CLOSE, **SINGLE, "seed": seed}
        for seed in SEEDS
    },
    "assisted, drawn, cool": {**DRAWN, **FAR, "temperature": 0.7, **SINGLE},
    "lookup, drawn": {
        **DRAWN,
        "prompt_lookup_num_tokens": 3,
        "eos_token_id": 3,
        "top_k": 2,
        **REPETITIVE,
    },
}
STRATEGIES: Table = {
    "": {},
    ", beams": {"num_beams": 2},
    ", groups": {**PAIRS},
    ", words": {"num_beams": 3, "force_words_ids": [[40, 41]], **UNSCORED},
    ", contrastive": CONTRASTED,
    ", drawn": DRAWN,
    ", drawn beams": {**DRAWN, "num_beams": 2},
    ", encoder penalties": {"encoder_repetition_penalty": 1.5},
}
EMBEDDED: Table = {
    **{f"embedded{name}": {**case, "embedded": True} for name, case in STRATEGIES.items()},
    "embedded, total length": {"max_new_tokens": None, "max_length": 12, "embedded": True},
    "embedded, everything": {**ALL, "embedded": True, "max_new_tokens": 4},
    "embedded, minimum": {"embedded": True, "min_length": 6, **ENDS},
}
EMBEDDED_TOO: Table = {
    f"embedded too{name}": {**case, "embedded": "too"} for name, case in STRATEGIES.items()
}
EMBEDDED_LAYERS: Table = {"embedded, low layers": {"dola_layers": "low", "embedded": True}}
STOPPING: Table = {
    "stopped": STOPPED,
    "stopped beams": {**STOPPED, "num_beams": 3},
    "stopped groups": {**STOPPED, **PAIRS},
    "stopped, contrastive": {**STOPPED, **CONTRASTED},
    "stopped, drawn": {**STOPPED, **DRAWN},
    "one token": {"max_new_tokens": 1},
    "one token, beams": {"max_new_tokens": 1, "num_beams": 3},
    "many beams": {"max_new_tokens": 3, "num_beams": 40, "num_return_sequences": 2},
    "total length": {"max_new_tokens": None, "max_length": 12, "min_length": 10},
}
DECODER_PROMPTS: Table = {
    "decoder prompt": {"decoder_input_ids": [[0, 5, 6]] * 3},
    "decoder prompt without start": {"decoder_input_ids": [[5, 6]] * 3},
    "decoder prompt, beams": {"decoder_input_ids": [[5, 6], [8, 9], [5, 5]], "num_beams": 3},
    "decoder prompt, contrastive": {"decoder_input_ids": [[5, 6]] * 3, **CONTRASTED},
}
ANY: Table = {
    **GREEDY, **BEAMS, **GROUPS, **CONSTRAINED, **CONTRASTIVE, **ASSISTED, **SAMPLED,
    **BEAM_SAMPLED, **DRAWN_WITH_HELP, **EMBEDDED, **STOPPING,
}  # fmt: skip
OF_DECODERS: Table = {
    **DOLA, **GUIDED, **DRAWN_OTHERWISE, **EMBEDDED_TOO, **EMBEDDED_LAYERS,
}  # fmt: skip
NARROW = (
    "greedy", "greedy, endless", "greedy, ends", "beams", "beams, all", "groups", "words",
    "phrase", "low layers", "high layers", "drawn, seed 1", "drawn beams, seed 1",
)  # fmt: skip


GROWING: Case = {"cache_implementation": "dynamic"}
TAKES_BACK = ("penalty_alpha", "drafted", "prompt_lookup_num_tokens")


def cases(model: str) -> Table:
    """All calls for one of `generation_calls.MODELS`, by name."""
    made = {**ANY, **(DECODER_PROMPTS if model in ("t5", "bart") else OF_DECODERS)}
    if model == "gemma2_narrow":
        made = {name: made[name] for name in NARROW}
    if model in ("t5", "bart", "mamba"):  # in the reference without a cache of fixed size
        made = {name: case for name, case in made.items() if "static" not in name}
    if model == "mamba":
        made = {name: recurrent(case) for name, case in made.items() if remembers(case)}
    if model == "gemma2":  # attentions of its own cache have columns for text to come
        del made["guided, everything"]
        everything = [name for name, case in made.items() if "output_attentions" in case]
        made |= {name: GROWING | made[name] for name in everything}
    return {name: {**NEW, **SCORED, **case} for name, case in made.items()}


def remembers(case: Case) -> bool:
    """Whether the reference can do this with a model whose memory is a state: it takes no token
    back, and without a cache, as it must be for beams, embeddings are forgotten.
    """
    asked = case.keys()
    return asked.isdisjoint((*TAKES_BACK, "dola_layers")) and not (
        "embedded" in case and "num_beams" in case
    )


def recurrent(case: Case) -> Case:
    """Without attentions, of which there are none, and with hidden states of single tokens."""
    everything = {**case, "output_attentions": False}
    if "num_beams" in case or "guidance_scale" in case:
        everything["output_hidden_states"] = False
    return everything if "output_attentions" in case else case


def for_the_reference(model: str, case: Case) -> Case:
    """The call by which the reference computes what `case` should give."""
    kind = case.get("cache_implementation")
    if model == "gemma2_narrow" or (model == "gemma2" and "guidance_scale" in case):
        return {**case, "use_cache": False}
    if model == "mamba" and not case.keys().isdisjoint(("num_beams", "guidance_scale")):
        return {**case, "use_cache": False}
    if model == "gemma2" and (kind == "dynamic" or not case.keys().isdisjoint(TAKES_BACK)):
        return {**case, "cache_implementation": None}
    if model == "gemma2" and kind == "static":
        return {**case, "cache_implementation": "hybrid"}
    return case

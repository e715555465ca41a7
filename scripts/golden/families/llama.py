"""Golden cases of Llama."""

from __future__ import annotations

from cases import (
    EVERYTHING,
    Call,
    Family,
    call,
    causal_lm_calls,
    decoder_calls,
    generation_calls,
    question_answering,
    sequence_classification,
    token_classification,
    token_ids,
)

family = Family(
    package="models-text",
    model_type="llama",
    config_class="LlamaConfig",
    sizes={
        "vocab_size": 99,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 64,
        "rms_norm_eps": 1e-5,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    },
)


def long_calls() -> list[Call]:
    """Twelve tokens, beyond the 8 positions that the scaled variants were trained on."""
    return [call("long", {"input_ids": token_ids("long", 2, 12), "use_cache": True, **EVERYTHING})]


family.case("LlamaModel", decoder_calls())
family.case(
    "LlamaModel",
    decoder_calls(),
    "biases",
    attention_bias=True,
    mlp_bias=True,
    hidden_act="gelu",
    num_key_value_heads=4,
)
family.case(
    "LlamaModel",
    decoder_calls()[:2],
    "multi-query",
    num_key_value_heads=1,
    head_dim=16,
    rope_theta=500.0,
)

SCALINGS = {
    "linear": {"rope_type": "linear", "factor": 2.0},
    "legacy-linear": {"type": "linear", "factor": 4.0},
    "dynamic": {"rope_type": "dynamic", "factor": 2.0},
    "yarn": {"rope_type": "yarn", "factor": 4.0},
    "yarn-betas": {
        "rope_type": "yarn",
        "factor": 4.0,
        "beta_fast": 16.0,
        "beta_slow": 2.0,
        "attention_factor": 0.8,
    },
    "longrope": {
        "rope_type": "longrope",
        "factor": 4.0,
        "short_factor": [1.0, 1.1, 1.2, 1.3],
        "long_factor": [1.5, 2.0, 3.0, 4.0],
    },
    "llama3": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8,
    },
}
for scaling, rope_scaling in SCALINGS.items():
    family.case(
        "LlamaModel",
        long_calls(),
        f"rope-{scaling}",
        rope_scaling=rope_scaling,
        max_position_embeddings=8,
        rope_theta=100.0,
    )

family.case(
    "LlamaForCausalLM",
    [
        *causal_lm_calls(),
        call("last-logits", {"input_ids": token_ids("plain", 2, 7), "num_logits_to_keep": 2}),
    ],
)
family.case(
    "LlamaForCausalLM",
    [*causal_lm_calls()[:2], *generation_calls()],
    "tied",
    tie_word_embeddings=True,
)
family.case(
    "LlamaForCausalLM",
    causal_lm_calls(),
    "wide",  # wide enough for the kernels that small products do not use
    hidden_size=256,
    intermediate_size=512,
    vocab_size=512,
    num_hidden_layers=1,
)
sequence_classification(family, "LlamaForSequenceClassification")
token_classification(family, "LlamaForTokenClassification")
question_answering(family, "LlamaForQuestionAnswering")

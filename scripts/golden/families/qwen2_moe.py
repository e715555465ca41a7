"""Golden cases of Qwen 2 with experts."""

from __future__ import annotations

from cases import decoder_calls
from llama_cases import balanced_calls, relative

family = relative(
    "qwen2_moe",
    "Qwen2Moe",
    num_experts=4,
    num_experts_per_tok=2,
    moe_intermediate_size=24,
    shared_expert_intermediate_size=40,
)
family.case(
    "Qwen2MoeModel",
    decoder_calls()[:2],
    "mixed",
    num_hidden_layers=4,
    decoder_sparse_step=2,
    mlp_only_layers=[1],
    norm_topk_prob=True,
)
family.case("Qwen2MoeForCausalLM", balanced_calls(), "balanced", router_aux_loss_coef=0.5)

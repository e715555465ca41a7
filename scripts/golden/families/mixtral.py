"""Golden cases of Mixtral."""

from __future__ import annotations

from llama_cases import balanced_calls, long_calls, relative

family = relative("mixtral", "Mixtral", positions=False, num_local_experts=4)
family.case("MixtralModel", long_calls(), "window", sliding_window=3, output_router_logits=True)
family.case("MixtralForCausalLM", balanced_calls(), "balanced", router_aux_loss_coef=0.5)

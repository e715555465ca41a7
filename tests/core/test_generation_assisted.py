"""Assisted decoding: the text is the model's own, whoever guesses it; guesses save passes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.core.byte_level import MERGES, byte_level
from tests.core.decoder import decoder
from torch import Tensor, nn

from dovetail.configs import PretrainedConfig
from dovetail.errors import GenerationError
from dovetail.generation import GenerationMixin
from dovetail.generation.retokenized import _continuation, _joined
from dovetail.modeling import PreTrainedModel
from dovetail.outputs import CausalLMOutputWithPast

END = 2
SENTENCE = "hello, the same true name: the true name of the true thing; ok, the end"
OTHER_MERGES = (*MERGES[:6], ("e", "r"), ("l", "l"), ("ll", "o"), ("e", "Ġ"), ("s", "a"))


class ReciterConfig(PretrainedConfig):
    model_type = "reciter"
    vocab_size: int = 300
    hidden_size: int = 4
    num_hidden_layers: int = 1
    num_attention_heads: int = 1


class Reciter(PreTrainedModel, GenerationMixin):
    """Knows one text by heart, whatever it reads, and counts how often it is asked."""

    config_class = ReciterConfig

    def __init__(self, config: ReciterConfig) -> None:
        super().__init__(config)
        self.scale = nn.Parameter(torch.ones(()))
        self.script = torch.zeros(0, dtype=torch.long)
        self.passes = 0
        self.strayed = False

    def get_input_embeddings(self) -> nn.Module:
        return nn.Embedding(self.config.vocab_size, 4)

    def forward(
        self,
        input_ids: Tensor,
        past_key_values: Any = None,
        use_cache: bool | None = None,
        return_dict: bool = True,
    ) -> CausalLMOutputWithPast:
        self.passes += 1
        start, length = past_key_values.get_seq_length(), input_ids.shape[1]
        self.strayed = self.strayed or not input_ids[0].equal(self.script[start : start + length])
        keys = torch.zeros(1, 1, length, 4)
        for layer in range(self.config.num_hidden_layers):
            past_key_values.update(keys, keys, layer)
        following = self.script[start + 1 : start + length + 1]
        logits = nn.functional.one_hot(following, self.config.vocab_size) * 9.0
        missing = length - len(following)
        return CausalLMOutputWithPast(
            logits=nn.functional.pad(logits, (0, 0, 0, missing))[None],
            past_key_values=past_key_values,
        )


def reciter(tokenizer: Any, prefix: list[int], size: int = 300, **settings: Any) -> Reciter:
    model = Reciter(ReciterConfig(vocab_size=size, eos_token_id=END, pad_token_id=0, **settings))
    script = [*prefix, *tokenizer.encode(SENTENCE), END, *[0] * 30]
    model.script = torch.tensor(script)
    return model.eval()


def test_a_draft_in_other_tokens_saves_passes() -> None:
    tokenizer, other = byte_level(), byte_level(OTHER_MERGES)
    model, draft = reciter(tokenizer, []), reciter(other, [], 290)
    prompt = torch.tensor([tokenizer.encode("hello, the")])
    plain = model.generate(prompt, max_new_tokens=90)
    needed, model.passes = model.passes, 0
    draft.generation_config.num_assistant_tokens = 8
    assisted = model.generate(
        prompt,
        max_new_tokens=90,
        assistant_model=draft,
        tokenizer=tokenizer,
        assistant_tokenizer=other,
        target_lookbehind=4,
        assistant_lookbehind=4,
    )
    assert assisted.equal(plain)
    assert tokenizer.decode(assisted[0]) == f"{SENTENCE}</s>"
    assert model.passes < needed / 3
    assert not draft.strayed


def test_text_that_joins_what_was_written() -> None:
    tokenizer = byte_level()
    tr, rue = tokenizer.encode("t"), tokenizer.encode("rue")
    assert _joined(tokenizer, tr, "rue") is None
    assert _joined(tokenizer, tokenizer.encode("x"), "rue") == rue
    half = tokenizer.encode("é")
    assert _continuation(tokenizer, half[:1], half[1:]) is None
    assert _continuation(tokenizer, half, tr) == "t"


@pytest.mark.parametrize("sampled", [False, True])
@pytest.mark.parametrize(
    "helper", ["first layer", "three layers", "other tokens", "lookup", "itself"]
)
def test_the_text_is_the_models_own(helper: str, sampled: bool) -> None:
    tokenizer, other = byte_level(), byte_level(OTHER_MERGES)
    settings = {"eos_token_id": END, "max_position_embeddings": 128, "num_hidden_layers": 4}
    model = decoder(vocab_size=len(tokenizer), **settings)
    prompt = torch.tensor([tokenizer.encode("hello the tall fellow, hello the tall é")])
    draft = decoder(vocab_size=len(other), **settings)
    draft.generation_config.assistant_confidence_threshold = 0.0
    helpers: dict[str, dict[str, Any]] = {
        "first layer": {"assistant_early_exit": 1, "assistant_confidence_threshold": 0.0},
        "three layers": {"assistant_early_exit": 3, "num_assistant_tokens": 3},
        "other tokens": {
            "assistant_model": draft,
            "tokenizer": tokenizer,
            "assistant_tokenizer": other,
        },
        "lookup": {"prompt_lookup_num_tokens": 3},
        "itself": {"assistant_model": model},
    }
    options = {"max_new_tokens": 24, "do_sample": sampled}
    if sampled:  # almost greedy, so that random numbers do not matter
        options["temperature"] = 1e-4
    plain = model.generate(prompt, **options)
    assert model.generate(prompt, **options, **helpers[helper]).equal(plain)


def test_an_early_exit_leaves_the_records_as_they_are() -> None:
    model = decoder(num_hidden_layers=3, eos_token_id=END)
    options: dict[str, Any] = {"max_new_tokens": 9, "return_dict_in_generate": True}
    options |= {"output_scores": True, "output_hidden_states": True, "output_attentions": True}
    prompt = torch.tensor([[5, 6, 7, 8]])
    plain = model.generate(prompt, **options)
    early = model.generate(prompt, **options, assistant_early_exit=2)
    assert early.sequences.equal(plain.sequences)
    for name in ("scores", "hidden_states", "attentions"):
        for one, two in zip(plain[name], early[name], strict=True):
            pairs = zip(one, two, strict=True) if isinstance(one, tuple) else [(one, two)]
            assert all(torch.allclose(*pair, atol=1e-3, rtol=1e-3) for pair in pairs)
    assert model.model._exit_layer is None
    assert [len(step) for step in early.hidden_states] == [4] * len(plain.hidden_states)


def test_scores_of_drafts_are_processed_like_the_models() -> None:
    model = decoder(eos_token_id=END)
    prompt = torch.tensor([[5, 6, 7, 8]])
    options = {"max_new_tokens": 12, "do_sample": True, "top_k": 1, "repetition_penalty": 1.5}
    torch.manual_seed(0)
    plain = model.generate(prompt, **options)
    assert model.generate(prompt, assistant_model=model, **options).equal(plain)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"assistant_early_exit": 2}, "has 2 layers, so a draft may use 1 to 1"),
        ({"assistant_early_exit": 0}, "assistant_early_exit=0: it must be an integer of at least"),
        (
            {"assistant_early_exit": 1, "prompt_lookup_num_tokens": 3},
            "has prompt_lookup_num_tokens and assistant_early_exit to assist it",
        ),
        ({"assistant_early_exit": 1, "num_beams": 2}, "works with greedy search and sampling"),
        ({"prompt_lookup_num_tokens": 3, "assistant_tokenizer": 1}, "no use without assistant_mod"),
        ({"assistant_lookbehind": 0}, "assistant_lookbehind=0"),
        ({"target_lookbehind": 2.5}, "target_lookbehind=2.5"),
    ],
)
def test_faults(settings: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = decoder(eos_token_id=END)
    monkeypatch.setattr(type(model), "forward", None)
    monkeypatch.setattr("dovetail.generation.mixin.prompts.check_model_kwargs", lambda *_: None)
    with pytest.raises(GenerationError, match=message):
        model.generate(torch.tensor([[5, 6]]), max_new_tokens=3, **settings)


def test_another_vocabulary_needs_both_tokenizers() -> None:
    model, draft = decoder(), decoder(vocab_size=60)
    tokenizer = byte_level()
    prompt = torch.tensor([[5, 6]])
    with pytest.raises(GenerationError, match="pass both tokenizer and assistant_tokenizer"):
        model.generate(prompt, assistant_model=draft)
    with pytest.raises(GenerationError, match="without the model's own: pass tokenizer=tokenizer"):
        model.generate(prompt, assistant_model=draft, assistant_tokenizer=tokenizer)


def test_a_model_without_a_cache() -> None:
    class Forgetful(Reciter):
        def forward(self, input_ids: Tensor, return_dict: bool = True) -> CausalLMOutputWithPast:  # type: ignore[override]
            raise RuntimeError("the model ran")

    with pytest.raises(GenerationError, match="Forgetful keeps no cache of keys and values"):
        Forgetful(ReciterConfig()).generate(torch.tensor([[5]]), prompt_lookup_num_tokens=2)


def test_a_body_that_runs_its_layers_itself() -> None:
    model = reciter(byte_level(), [], num_hidden_layers=3)
    with pytest.raises(GenerationError, match="Reciter runs its layers by a rule of its own"):
        model.generate(model.script[None, :4], assistant_early_exit=1, max_new_tokens=9)

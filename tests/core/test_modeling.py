"""What the base class promises to every model."""

from __future__ import annotations

import pytest
import torch
from tests.core.decoder import (
    Decoder,
    DecoderForQuestionAnswering,
    DecoderForSequenceClassification,
    decoder,
    some_ids,
)
from torch import nn

from dovetail.caches import DynamicCache, StaticCache
from dovetail.errors import ConfigTypeError, UnknownNameError
from dovetail.layers.norms import RMSNorm
from dovetail.outputs import CausalLMOutputWithPast


def test_a_name_is_no_config():
    with pytest.raises(ConfigTypeError, match=r"Decoder\.from_pretrained"):
        Decoder("some-model")


def test_a_model_knows_its_sizes():
    model = decoder()
    assert model.num_parameters() == sum(p.numel() for p in model.parameters())
    embedding = model.get_input_embeddings().weight
    without = model.num_parameters(exclude_embeddings=True)
    assert model.num_parameters() - without == embedding.numel()
    embedding.requires_grad_(False)
    assert model.num_parameters(only_trainable=True) == without
    assert model.get_memory_footprint(return_buffers=False) == 4 * model.num_parameters()
    assert model.get_memory_footprint() > 4 * model.num_parameters()
    assert (model.dtype, model.device.type, model.framework) == (torch.float32, "cpu", "pt")
    assert model.half().dtype == torch.float16
    assert model.can_generate()
    assert not Decoder.can_generate()
    assert model.base_model is model.model


def test_recording_covers_every_layer():
    model, ids = decoder(), some_ids()
    output = model(ids, output_hidden_states=True, output_attentions=True)
    assert list(output) == ["logits", "past_key_values", "hidden_states", "attentions"]
    assert [state.shape for state in output.hidden_states] == [(2, 7, 16)] * 3
    assert [weights.shape for weights in output.attentions] == [(2, 4, 7, 7)] * 2
    torch.testing.assert_close(output.logits, model(ids).logits, atol=1e-4, rtol=1e-4)
    plain = model(ids, return_dict=False, use_cache=False)
    assert isinstance(plain, tuple)
    assert len(plain) == 1


def test_the_config_can_ask_for_records():
    model = decoder(output_hidden_states=True)
    assert "hidden_states" in model(some_ids())
    assert "hidden_states" not in model(some_ids(), output_hidden_states=False)


@pytest.mark.parametrize("kind", ["dynamic", "static"])
def test_stepping_with_a_cache_equals_one_pass(kind: str):
    model, ids = decoder(), some_ids()
    cache = DynamicCache() if kind == "dynamic" else StaticCache(model.config, 2, 12)
    steps = [model(ids[:, :3], past_key_values=cache).logits]
    steps += [model(ids[:, n : n + 1], past_key_values=cache).logits for n in range(3, 7)]
    torch.testing.assert_close(torch.cat(steps, 1), model(ids).logits, atol=1e-5, rtol=1e-5)
    assert cache.get_seq_length() == 7


def test_a_cache_given_without_use_cache_is_read_and_not_returned():
    model, ids = decoder(), some_ids()
    past = model(ids[:, :3]).past_key_values
    output = model(ids[:, 3:], past_key_values=past, use_cache=False)
    assert "past_key_values" not in output
    torch.testing.assert_close(output.logits, model(ids).logits[:, 3:], atol=1e-5, rtol=1e-5)


def test_old_tuples_are_taken_as_a_cache():
    model, ids = decoder(), some_ids()
    past = model(ids[:, :3]).past_key_values.to_legacy_cache()
    output = model(ids[:, 3:], past_key_values=past)
    torch.testing.assert_close(output.logits, model(ids).logits[:, 3:], atol=1e-5, rtol=1e-5)


def test_packed_texts_do_not_see_each_other():
    model, ids = decoder(), some_ids(1, 7)
    positions = torch.tensor([[0, 1, 2, 0, 1, 2, 3]])
    packed = model(ids, position_ids=positions).logits
    apart = torch.cat((model(ids[:, :3]).logits, model(ids[:, 3:]).logits), 1)
    torch.testing.assert_close(packed, apart, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("keep", [1, 3, torch.tensor([4, 6])], ids=str)
def test_only_wanted_logits_are_computed(keep: int | torch.Tensor):
    model, ids = decoder(), some_ids()
    whole = model(ids).logits
    expected = whole[:, -keep:] if isinstance(keep, int) else whole[:, keep]
    torch.testing.assert_close(model(ids, logits_to_keep=keep).logits, expected)
    if isinstance(keep, int):
        torch.testing.assert_close(model(ids, num_logits_to_keep=keep).logits, expected)


def test_exactly_one_kind_of_input_is_wanted():
    model, ids = decoder(), some_ids()
    embeds = model.get_input_embeddings()(ids)
    torch.testing.assert_close(model(inputs_embeds=embeds).logits, model(ids).logits)
    for both in ({}, {"input_ids": ids, "inputs_embeds": embeds}):
        with pytest.raises(ValueError, match="exactly one of input_ids and inputs_embeds"):
            model(**both)


@pytest.mark.parametrize("options", [None, {"use_reentrant": True}], ids=str)
def test_checkpointing_changes_no_gradient(options: dict[str, bool] | None):
    ids = some_ids()
    gradients = []
    for enabled in (False, True):
        model = decoder().train()
        if enabled:
            model.gradient_checkpointing_enable(options)
            assert model.is_gradient_checkpointing
        output = model(ids, labels=ids, use_cache=False, output_attentions=True)
        output.loss.backward()
        assert len(output.attentions) == 2
        gradients.append([parameter.grad for parameter in model.parameters()])
    torch.testing.assert_close(*gradients)
    model.gradient_checkpointing_disable()
    assert not model.is_gradient_checkpointing


def test_embeddings_can_be_made_to_require_gradients():
    model = decoder().requires_grad_(False)
    assert not model(some_ids()).logits.requires_grad
    model.enable_input_require_grads()
    assert model(some_ids()).logits.requires_grad
    model.disable_input_require_grads()
    assert not model(some_ids()).logits.requires_grad


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(
    ("size", "multiple", "rows"), [(60, None, 60), (51, 8, 56), (30, None, 30)]
)
def test_vocabularies_are_resized(tied: bool, size: int, multiple: int | None, rows: int):
    model, ids = decoder(tie_word_embeddings=tied), some_ids().clamp(max=29)
    before, common = model(ids).logits, min(rows, 50)
    new = model.resize_token_embeddings(size, pad_to_multiple_of=multiple)
    assert new is model.get_input_embeddings()
    assert new.weight.shape == model.lm_head.weight.shape == (rows, 16)
    assert (new.weight is model.lm_head.weight) == tied
    assert model.config.vocab_size == rows
    torch.testing.assert_close(model(ids).logits[..., :common], before[..., :common])


def test_new_rows_lie_around_the_mean():
    model = decoder()
    mean = model.get_input_embeddings().weight.mean(0)
    new = model.resize_token_embeddings(80).weight[50:]
    torch.testing.assert_close(new, mean.expand(30, -1), atol=1e-3, rtol=0)
    assert not new[0].equal(new[1])
    fresh = decoder().resize_token_embeddings(80, mean_resizing=False).weight[50:]
    assert fresh.std() > 0.1


@pytest.mark.parametrize(("size", "multiple"), [(0, None), (-3, None), (10, 0), (10, 2.5)])
def test_impossible_sizes_are_refused(size: int, multiple: int | None):
    with pytest.raises(ValueError, match=r"must be (a )?positive"):
        decoder().resize_token_embeddings(size, pad_to_multiple_of=multiple)


def test_tied_weights_are_one_tensor():
    model = decoder(tie_word_embeddings=True)
    assert model.lm_head.weight is model.get_input_embeddings().weight
    assert model.tied_weights() == {"lm_head.weight": "model.embed_tokens.weight"}
    assert decoder().tied_weights() == {}
    fresh = nn.Embedding(50, 16)
    model.set_input_embeddings(fresh)
    model.tie_weights()
    assert model.lm_head.weight is fresh.weight


def test_pruned_heads_are_gone_and_remembered():
    model = decoder(num_key_value_heads=4)
    kept = [0, 2, 3]
    attention = model.model.layers[0].attention
    columns = attention.o_proj.weight.unflatten(1, (4, 4))[:, kept].flatten(1).clone()
    model.prune_heads({0: [1]})
    assert attention.o_proj.weight.equal(columns)
    model.prune_heads({0: [1, 3]})  # numbers are those from before
    assert attention.q_proj.weight.shape == (8, 16)
    assert model.config.pruned_heads == {0: [1, 3]}
    assert model(some_ids()).logits.shape == (2, 7, 50)
    again = decoder(num_key_value_heads=4, pruned_heads={"0": [1, 3]})
    assert again.model.layers[0].attention.q_proj.weight.shape == (8, 16)


def test_attention_is_chosen_by_name():
    model, ids = decoder(), some_ids()
    before = model(ids).logits
    model.set_attn_implementation("eager")
    assert model.config._attn_implementation == "eager"
    torch.testing.assert_close(model(ids).logits, before, atol=1e-4, rtol=1e-4)
    with pytest.raises(UnknownNameError, match="eager"):
        model.set_attn_implementation("eagre")
    with pytest.raises(UnknownNameError, match="eager"):
        decoder(attn_implementation="eagre")


def test_classifying_takes_the_last_real_token():
    model = decoder(DecoderForSequenceClassification, num_labels=3)
    alone = model(some_ids(1, 4)).logits
    padded = nn.functional.pad(some_ids(1, 4), (0, 3))
    mask = (padded != 0).long()
    torch.testing.assert_close(model(padded, mask).logits, alone, atol=1e-5, rtol=1e-5)
    model.config.pad_token_id = None
    with pytest.raises(ValueError, match=r"needs config\.pad_token_id"):
        model(some_ids(2, 4))


@pytest.mark.parametrize(
    ("labels", "count", "kind"),
    [
        (torch.tensor([1, 2]), 3, "single_label_classification"),
        (torch.tensor([[0.0, 1, 1], [1, 0, 0]]), 3, "multi_label_classification"),
        (torch.tensor([0.5, -1.0]), 1, "regression"),
    ],
)
def test_the_kind_of_problem_follows_from_the_labels(labels: torch.Tensor, count: int, kind: str):
    model = decoder(DecoderForSequenceClassification, num_labels=count)
    assert model(some_ids(), labels=labels).loss.isfinite()
    assert model.config.problem_type == kind


def test_answers_beyond_the_text_do_not_count():
    model, ids = decoder(DecoderForQuestionAnswering), some_ids(2, 5)
    inside = {"start_positions": torch.tensor([1, 2]), "end_positions": torch.tensor([2, 4])}
    first = model(ids[:1], start_positions=inside["start_positions"][:1],
                  end_positions=inside["end_positions"][:1])  # fmt: skip
    beyond = {name: torch.cat((place[:1], torch.tensor([9]))) for name, place in inside.items()}
    torch.testing.assert_close(model(ids, **beyond).loss, first.loss)
    assert model(ids, **inside).loss > 0


def test_labels_are_shifted_and_counted():
    model, ids = decoder(), some_ids()
    output = model(ids, labels=ids)
    expected = nn.functional.cross_entropy(
        output.logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten()
    )
    torch.testing.assert_close(output.loss, expected)
    torch.testing.assert_close(model(ids, labels=ids, num_items_in_batch=24).loss, expected / 2)
    ignored = ids.clone()
    ignored[0] = -100
    torch.testing.assert_close(model(ids, labels=ignored).loss, model(ids[1:], labels=ids[1:]).loss)


def test_an_output_is_record_mapping_and_tuple():
    output = CausalLMOutputWithPast(logits=torch.ones(1))
    assert list(output) == ["logits"]
    assert output[0] is output["logits"] is output.logits
    assert output.loss is None
    output.loss = torch.zeros(1)
    assert list(output.to_tuple()) == [output.loss, output.logits]
    assert list(output) == ["loss", "logits"]
    output["loss"] = None
    assert "loss" not in output
    with pytest.raises(AttributeError, match="no field 'logit'"):
        output.logit  # noqa: B018


def test_outputs_pass_through_trees():
    output = CausalLMOutputWithPast(logits=torch.ones(2))
    doubled = torch.utils._pytree.tree_map(lambda tensor: tensor * 2, output)
    assert isinstance(doubled, CausalLMOutputWithPast)
    assert doubled.logits.equal(torch.full((2,), 2.0))


def test_initial_weights_follow_the_config():
    model = decoder(initializer_range=0.5, hidden_size=64)
    weight = model.model.layers[0].attention.q_proj.weight
    assert float(weight.detach().std()) == pytest.approx(0.5, rel=0.05)
    assert not model.model.layers[0].attention.q_proj.bias.any()
    assert model.model.layers[0].norm.weight.equal(torch.ones(64))


def test_defaults_at_the_first_pass_do_not_stay_in_norms() -> None:
    eps = 3e-5  # of no other test: what is kept for it is made here
    norm = RMSNorm(4, eps)
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.no_grad(), torch.device("meta"):
            norm(torch.ones(1, 4, device="cpu", dtype=torch.float32))
    finally:
        torch.set_default_dtype(torch.float32)
    x = torch.full((1, 4), 1e-3)
    with torch.no_grad():
        torch.testing.assert_close(norm(x), x / (1e-6 + eps) ** 0.5)

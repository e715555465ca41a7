"""What one forward pass must do, whatever the architecture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from dovetail.caches import recurrent_layers
from dovetail.testing.subject import BATCH, LENGTH, Subject, accepts, expect, expect_close

LAYERS = ("num_hidden_layers", "num_layers", "n_layer", "encoder_layers")
HALF_PRECISION = {torch.bfloat16: 0.1, torch.float16: 0.02}
"""How far, of what there is, results in few digits may be off."""
PER_TOKEN = {"last_hidden_state", "logits", "start_logits", "end_logits", "prediction_logits"}


class ForwardTests(Subject):
    """Shapes, fields, recording, batching, attention implementations, low precision."""

    implementations: ClassVar[tuple[str, ...]] = ("eager", "sdpa", "flex_attention")

    def test_output_is_finite_and_has_one_row_per_text(self, model_class: Any) -> None:
        model = self.build(model_class)
        output = self.run(model, self.inputs(model_class, model.config))
        first = output[0]
        expect(first.shape[0] == BATCH, f"the first output has {first.shape[0]} rows, not {BATCH}")
        expect(bool(torch.isfinite(first).all()), "the first output is not finite")
        if "last_hidden_state" in output:
            width = self.body_config(model.config).hidden_size
            found = output["last_hidden_state"].shape[-1]
            expect(found == width, f"hidden states are {found} wide, not {width}")

    def test_tuple_holds_what_the_mapping_holds(self, model_class: Any) -> None:
        model = self.build(model_class)
        inputs = self.inputs(model_class, model.config)
        switches = {"output_hidden_states": True, "output_attentions": True}
        mapping = self.run(model, inputs, **switches)
        values = self.run(model, inputs, return_dict=False, **switches)
        expect(isinstance(values, tuple), f"return_dict=False gives a {type(values).__name__}")
        expect_close(values, mapping.to_tuple(), "tuple", 0.0)

    def test_hidden_states_and_attentions_are_recorded(self, model_class: Any) -> None:
        model = self.build(model_class)
        inputs = self.inputs(model_class, model.config)
        output = self.run(model, inputs, output_hidden_states=True, output_attentions=True)
        config = self.body_config(model.config)
        recurrent = len(recurrent_layers(config))
        for part in ("", "encoder_", "decoder_", "vision_"):
            own = getattr(config, "num_decoder_layers", None) if part == "decoder_" else None
            layers = own or next(getattr(config, name) for name in LAYERS if hasattr(config, name))
            states = output.get(f"{part}hidden_states", ())
            expect(len(states) in (0, layers + 1), f"{len(states)} {part}hidden states")
            weights = output.get(f"{part}attentions", ())
            known = (0, layers, layers - recurrent)
            expect(len(weights) in known, f"{len(weights)} {part}attentions")
            attends = recurrent < layers
            for attention in weights if attends else ():  # else they are what stands in for it
                total = attention.sum(-1)
                expect_close(total, torch.ones_like(total), "rows of attention", 1e-4)
        parts = ("", "encoder_", "vision_")
        recorded = any(f"{part}hidden_states" in output for part in parts)
        expect(recorded, "no hidden states are recorded")
        recorded = any(f"{part}attentions" in output for part in parts)
        expect(recorded or not attends, "no attentions are recorded")

    def test_recording_changes_nothing(self, model_class: Any) -> None:
        model = self.build(model_class)
        inputs = self.inputs(model_class, model.config)
        bare = self.run(model, inputs)
        by_config = self.run(self.build(model_class, output_hidden_states=True), inputs)
        expect(
            any("hidden_states" in name for name in by_config),
            "config.output_hidden_states has no effect",
        )
        recorded = self.run(model, inputs, output_attentions=True)
        expect_close(by_config[0], bare[0], "output", 0.0)
        expect_close(recorded[0], bare[0], "output", self.tolerance)

    def test_same_input_gives_same_output(self, model_class: Any) -> None:
        model = self.build(model_class)
        inputs = self.inputs(model_class, model.config)
        expect_close(self.run(model, inputs), self.run(model, inputs), "", 0.0)

    def test_rows_do_not_depend_on_their_batch(self, model_class: Any) -> None:
        model = self.build(model_class)
        inputs = self.inputs(model_class, model.config)
        whole = self.run(model, inputs)[0]
        for row in range(BATCH):
            alone = {name: value[row : row + 1] for name, value in inputs.items()}
            output = self.run(model, alone)[0]
            expect_close(output[0], whole[row], f"row {row}", self.tolerance)

    def test_attention_implementations_agree(self, model_class: Any) -> None:
        inputs = self.inputs(model_class, self.config())
        reference = self.build(model_class)
        padded = pad(inputs, 2, False, reference)
        for name in self.implementations:
            model = model_class._from_config(self.config(), attn_implementation=name).eval()
            model.load_state_dict(reference.state_dict())
            for given in (inputs, padded):
                output = self.run(model, given)[0]
                expect_close(output, self.run(reference, given)[0], name, self.tolerance)

    def test_half_precision_runs_and_stays_near(self, model_class: Any) -> None:
        model = self.build(model_class)
        inputs = self.inputs(model_class, model.config)
        expected = self.run(model, inputs)[0]
        for dtype, bound in HALF_PRECISION.items():
            output = self.run(self.build(model_class).to(dtype), inputs)[0]
            expect(output.dtype == dtype, f"the output of a {dtype} model is {output.dtype}")
            apart = (output.float() - expected).pow(2).mean() / expected.pow(2).mean()
            expect(apart.item() < bound**2, f"{dtype} is off by {apart.item() ** 0.5:.1%}")


class TextTests(Subject):
    """What holds for token ids: embeddings may replace them, padding may surround them."""

    def test_embeddings_may_be_given_in_place_of_ids(self, model_class: Any) -> None:
        model = self.build(model_class)
        if not accepts(model, "inputs_embeds"):
            return
        inputs = self.inputs(model_class, model.config)
        expected = self.run(model, inputs)[0]
        if model_class.__name__.endswith("ForSequenceClassification"):
            expect_finite_from_embeddings(self, model, inputs)
            return
        embedded = dict(inputs, inputs_embeds=model.get_input_embeddings()(inputs["input_ids"]))
        del embedded["input_ids"]
        expect_close(self.run(model, embedded)[0], expected, "output", self.tolerance)

    def test_texts_without_tokens_are_refused(self, model_class: Any) -> None:
        model = self.build(model_class)
        inputs = self.inputs(model_class, model.config)
        shape = inputs["input_ids"].shape
        empty = {name: v[..., :0] if v.shape == shape else v for name, v in inputs.items()}
        try:
            self.run(model, empty)
        except ValueError as error:
            expect("token" in str(error), f"texts of 0 tokens are refused by {error}")
        else:
            expect(False, "texts of 0 tokens are not refused by a ValueError")

    def test_padding_on_the_right_changes_nothing(self, model_class: Any) -> None:
        self.check_padding(model_class, left=False)

    def test_padding_on_the_left_changes_nothing(self, model_class: Any) -> None:
        self.check_padding(model_class, left=True)

    def check_padding(self, model_class: Any, left: bool) -> None:
        """Compare texts with the same texts padded by three tokens."""
        model = self.build(model_class)
        inputs = self.inputs(model_class, model.config)
        padded = pad(inputs, 3, left, model)
        told = accepts(model, "position_ids") or recurrent_layers(model.config)
        if left and not (told or model.config.is_encoder_decoder):
            return
        if left and (self.counts_left_padding or depends_on_first_token(model_class)):
            return
        expected, output = self.run(model, inputs), self.run(model, padded)
        for name in expected.keys() & PER_TOKEN:
            got = output[name]
            if got.dim() > 1 and got.shape[1] == expected[name].shape[1] + 3:
                got = got[:, 3:] if left else got[:, :-3]
            expect_close(got, expected[name], name, self.tolerance)


def pad(inputs: Mapping[str, Any], count: int, left: bool, model: Any) -> dict[str, Any]:
    """`inputs` with `count` padding tokens on one side, their mask, and positions where taken;
    inputs without ids as they are."""
    if "input_ids" not in inputs:
        return dict(inputs)
    ids = inputs["input_ids"]
    pad_token = model.config.pad_token_id or 0
    sides = (count, 0) if left else (0, count)
    mask = torch.nn.functional.pad(torch.ones_like(ids), sides)
    padded = dict(
        inputs, input_ids=torch.nn.functional.pad(ids, sides, value=pad_token), attention_mask=mask
    )
    if left and accepts(model, "position_ids"):
        padded["position_ids"] = (mask.cumsum(-1) - 1).clamp(min=0)
    return padded


def depends_on_first_token(model_class: Any) -> bool:
    """Whether the head reads the first token, which left padding displaces."""
    readers = ("ForSequenceClassification", "MultipleChoice", "NextSentence", "ForPreTraining")
    return any(reader in model_class.__name__ for reader in readers)


def expect_finite_from_embeddings(
    subject: Subject, model: Any, inputs: Mapping[str, Tensor]
) -> None:
    """A classifier finds a text's end by its ids: with embeddings it takes one text at a time."""
    embeddings = model.get_input_embeddings()(inputs["input_ids"][:1, :LENGTH])
    if model.config.is_encoder_decoder:
        return
    output = subject.run(model, {"inputs_embeds": embeddings})
    expect(bool(torch.isfinite(output[0]).all()), "logits from embeddings are not finite")

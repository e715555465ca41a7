"""What the tests of BLIP-2 and InstructBLIP share: tiny sizes, inputs, a battery."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from dovetail.testing import seeded
from dovetail.testing.checkpoints import CheckpointTests
from dovetail.testing.subject import expect_close
from dovetail.testing.training import EmbeddingTests, TrainingTests

PLACE, QUERIES = 4, 3
LAYERS = {"num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 37}
VISION = {
    **LAYERS,
    "hidden_size": 40,
    "image_size": 16,
    "patch_size": 4,
    "initializer_range": 0.02,
}
QFORMER = {**LAYERS, "hidden_size": 24, "vocab_size": 60, "max_position_embeddings": 20}
OPT = {
    "model_type": "opt",
    "vocab_size": 99,
    "hidden_size": 32,
    "word_embed_proj_dim": 32,
    "ffn_dim": 37,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "pad_token_id": 1,
    "eos_token_id": 97,
}
T5 = {
    "model_type": "t5",
    "vocab_size": 99,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 37,
    "num_layers": 2,
    "num_heads": 4,
    "bos_token_id": 2,
    "decoder_start_token_id": 0,
    "tie_word_embeddings": False,
}
SIZES: dict[str, Any] = {
    "vision_config": VISION,
    "qformer_config": QFORMER,
    "text_config": OPT,
    "num_query_tokens": QUERIES,
}


class WriterConformance(CheckpointTests, TrainingTests, EmbeddingTests):
    """The battery for models that write about what queries see."""

    unused = (r"k(ey|_proj)\.bias", r"qformer\.encoder\.layer\.1\.(intermediate|output)\.")
    places = QUERIES
    pixels_of: tuple[int, ...] = (3, 16, 16)

    def inputs(self, model_class: Any, config: Any, batch: int = 2, length: int = 5) -> Any:
        words = torch.from_numpy(seeded.integers("words", (batch, length), 5, 97))
        front = torch.full((batch, self.places), PLACE)
        inputs = {
            "pixel_values": torch.from_numpy(seeded.noise("pixels", (batch, *self.pixels_of))),
            "input_ids": torch.cat((words[:, :1], front, words[:, 1:]), 1),
        }
        inputs |= self.asked(batch)
        if config.is_encoder_decoder:
            inputs["decoder_input_ids"] = words
        return inputs

    def asked(self, batch: int) -> dict[str, Tensor]:
        """What the Q-Former reads."""
        return {}

    def labels(self, model_class: Any, config: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
        ids = inputs.get("decoder_input_ids", inputs.get("input_ids", torch.ones(2, 3).long()))
        return {"labels": ids.masked_fill(ids == PLACE, -100)}

    def test_rows_do_not_depend_on_their_batch(self, model_class: Any) -> None:
        model = self.build(model_class)
        inputs = self.inputs(model_class, model.config)
        whole = self.run(model, inputs).logits
        for row in range(2):
            alone = {name: value[row : row + 1] for name, value in inputs.items()}
            expect_close(self.run(model, alone).logits[0], whole[row], f"row {row}", 1e-4)

    def test_padding_on_the_left_changes_nothing(self, model_class: Any) -> None:
        model = self.build(model_class)
        inputs = self.inputs(model_class, model.config)
        expected = self.run(model, inputs).logits
        ids = inputs["input_ids"]
        pad, ones = torch.ones(2, 2).long(), torch.ones_like(ids)
        inputs["input_ids"] = torch.cat((pad, ids), 1)
        inputs["attention_mask"] = torch.cat((0 * pad, ones), 1)
        got = self.run(model, inputs).logits
        width = expected.shape[1]
        expect_close(got[:, -width:], expected, "logits", 1e-4)

    def test_half_precision_runs_and_stays_near(self, model_class: Any) -> None:
        model = self.build(model_class)
        inputs = self.inputs(model_class, model.config)
        expected = self.run(model, inputs).logits
        output = self.run(self.build(model_class).to(torch.bfloat16), inputs).logits
        assert output.dtype == torch.bfloat16
        apart = (output.float() - expected).pow(2).mean() / expected.pow(2).mean()
        assert apart.item() < 0.1**2

    def test_attention_implementations_agree(self, model_class: Any) -> None:
        reference = self.build(model_class)
        inputs = self.inputs(model_class, reference.config)
        model = model_class._from_config(self.config(), attn_implementation="eager").eval()
        model.load_state_dict(reference.state_dict())
        assert model.qformer.config._attn_implementation == "eager"
        ours, other = (self.run(one, inputs).logits for one in (model, reference))
        expect_close(ours, other, "eager", 1e-4)

    def test_parts_are_recorded_as_said(self, model_class: Any) -> None:
        model = self.build(model_class, output_hidden_states=True)
        inputs = self.inputs(model_class, model.config)
        output = self.run(model, inputs, output_attentions=True)
        assert len(output.vision_outputs.hidden_states) == 3
        assert len(output.qformer_outputs.attentions) == 2
        assert len(output.qformer_outputs.cross_attentions) == 1
        values = self.run(model, inputs, output_attentions=True, return_dict=False)
        expect_close(values, output.to_tuple(), "tuple", 0.0)

    def test_generation_with_and_without_a_cache(self, generative_class: Any) -> None:
        for place in (PLACE, None):
            model = self.build(generative_class, **{f"{generative_class.kind}_token_index": place})
            inputs = self.inputs(generative_class, model.config)
            inputs.pop("decoder_input_ids", None)
            if place is None:
                ids = inputs["input_ids"]
                inputs["input_ids"] = ids[ids != PLACE].view(2, -1)
            for options in ({}, {"num_beams": 3}, {"num_return_sequences": 2, "num_beams": 2}):
                options = {**options, "max_new_tokens": 5, "min_new_tokens": 5}
                cached = model.generate(**inputs, **options)
                plain = model.generate(**inputs, use_cache=False, **options)
                assert torch.equal(cached, plain)
                assert cached.shape == (2 * options.get("num_return_sequences", 1), 6)
            without = {name: one for name, one in inputs.items() if name != "input_ids"}
            assert model.generate(**without, max_new_tokens=3, min_new_tokens=3).shape == (2, 4)

"""What key-value caches must do: nothing but save time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dovetail.caches import Cache, DynamicCache, StaticCache, recurrent_layers
from dovetail.testing.forward import pad
from dovetail.testing.subject import LENGTH, Subject, accepts, expect, expect_close


class CacheTests(Subject):
    """Decoders: steps on a cache equal one pass over the whole text."""

    def whole(self, model: Any) -> tuple[Tensor, Tensor]:
        """Token ids and the output over all of them."""
        ids = self.inputs(type(model), model.config)["input_ids"]
        return ids, self.run(model, {"input_ids": ids}, use_cache=False)[0]

    def stepwise(self, model: Any, ids: Tensor, cache: Any, sizes: list[int]) -> Tensor:
        """Outputs over `ids` in steps of `sizes` tokens that share `cache`."""
        outputs, start = [], 0
        for size in sizes:
            step = {
                "input_ids": ids[:, start : start + size],
                "past_key_values": cache,
                "use_cache": True,
            }
            output = self.run(model, step)
            cache = output.past_key_values
            outputs.append(output[0])
            start += size
        return torch.cat(outputs, 1)

    def test_tokens_do_not_see_the_future(self, generative_class: Any) -> None:
        model = self.build(generative_class)
        ids, expected = self.whole(model)
        changed = ids.clone()
        changed[:, -1] = (changed[:, -1] + 1) % model.config.get_text_config().vocab_size
        output = self.run(model, {"input_ids": changed})[0]
        expect_close(output[:, :-1], expected[:, :-1], "what precedes a changed token", 5e-6)
        expect(
            not torch.allclose(output[:, -1], expected[:, -1]), "a changed token changes nothing"
        )

    def test_steps_equal_one_pass(self, generative_class: Any) -> None:
        model = self.build(generative_class)
        ids, expected = self.whole(model)
        for sizes in ([1] * LENGTH, [4, 3], [LENGTH - 1, 1]):
            output = self.stepwise(model, ids, None, sizes)
            expect_close(output, expected, f"steps of {sizes}", self.tolerance)

    def test_static_cache_equals_one_pass(self, generative_class: Any) -> None:
        model = self.build(generative_class)
        ids, expected = self.whole(model)
        for sizes in ([1] * LENGTH, [4, 3]):
            cache = StaticCache(model.config, max_batch_size=len(ids), max_cache_len=LENGTH + 4)
            outputs, start = [], 0
            for size in sizes:
                step = {
                    "input_ids": ids[:, start : start + size],
                    "past_key_values": cache,
                    "use_cache": True,
                }
                if accepts(model, "cache_position"):
                    step["cache_position"] = torch.arange(start, start + size)
                outputs.append(self.run(model, step)[0])
                start += size
            expect_close(torch.cat(outputs, 1), expected, f"steps of {sizes}", self.tolerance)

    def test_left_padded_steps_equal_one_pass(self, generative_class: Any) -> None:
        model = self.build(generative_class)
        ids, expected = self.whole(model)
        padded = pad({"input_ids": ids}, 2, True, model)
        positions = padded.pop("position_ids", None)
        first, rest = LENGTH, 2
        step = dict(
            padded,
            input_ids=padded["input_ids"][:, :first],
            attention_mask=padded["attention_mask"][:, :first],
        )
        step |= {} if positions is None else {"position_ids": positions[:, :first]}
        cache = self.run(model, step, use_cache=True).past_key_values
        step = dict(padded, input_ids=padded["input_ids"][:, -rest:], past_key_values=cache)
        step |= {} if positions is None else {"position_ids": positions[:, -rest:]}
        expect_close(self.run(model, step)[0], expected[:, -rest:], "padded steps", self.tolerance)

    def test_cache_is_returned_when_wanted(self, generative_class: Any) -> None:
        model = self.build(generative_class)
        ids = self.inputs(generative_class, model.config)["input_ids"]
        for wanted in (True, False):
            output = self.run(model, {"input_ids": ids}, use_cache=wanted)
            cache = getattr(output, "past_key_values", None)
            expect(wanted == (cache is not None), f"use_cache={wanted} returns {cache}")
            expect(cache is None or isinstance(cache, Cache), f"{type(cache).__name__} is no Cache")
            expect(
                cache is None or cache.get_seq_length() == LENGTH,
                f"the cache says it holds {cache and cache.get_seq_length()} tokens",
            )

    def test_cropping_and_tuples(self, generative_class: Any) -> None:
        model = self.build(generative_class)
        if recurrent_layers(model.config):
            return  # a state is a summary of all positions and cannot go back
        ids, expected = self.whole(model)
        cache = self.run(model, {"input_ids": ids}, use_cache=True).past_key_values
        cache.crop(4)
        legacy = cache.to_legacy_cache()
        for past in (legacy, cache):
            output = self.run(
                model, {"input_ids": ids[:, 4:], "past_key_values": past, "use_cache": True}
            )[0]
            expect_close(output, expected[:, 4:], "after cropping", self.tolerance)

    def test_reordering(self, generative_class: Any) -> None:
        model = self.build(generative_class)
        ids, expected = self.whole(model)
        cache = self.run(model, {"input_ids": ids[:, :4]}, use_cache=True).past_key_values
        cache.reorder_cache(torch.arange(len(ids)).flip(0))
        output = self.run(
            model, {"input_ids": ids[:, 4:].flip(0), "past_key_values": cache, "use_cache": True}
        )[0]
        expect_close(output.flip(0), expected[:, 4:], "after reordering", self.tolerance)

    def test_packed_texts_do_not_see_each_other(self, generative_class: Any) -> None:
        model = self.build(generative_class)
        if not accepts(model, "position_ids"):
            return
        ids, expected = self.whole(model)
        packed = {
            "input_ids": torch.cat((ids[:1], ids[1:, :4]), 1),
            "position_ids": torch.cat((torch.arange(LENGTH), torch.arange(4)))[None],
        }
        output = self.run(model, packed, use_cache=False)[0]
        expect_close(output[0, :LENGTH], expected[0], "the first text", self.tolerance)
        expect_close(output[0, LENGTH:], expected[1, :4], "the second text", self.tolerance)

    def test_given_cache_is_filled(self, generative_class: Any) -> None:
        model = self.build(generative_class)
        if not model.config.is_encoder_decoder:
            ids, _ = self.whole(model)
            cache = DynamicCache()
            self.run(model, {"input_ids": ids, "past_key_values": cache, "use_cache": True})
            expect(cache.get_seq_length() == LENGTH, "the cache that was given stays empty")


class DecoderCacheTests(Subject):
    """Encoder-decoders: steps of the decoder equal one pass of it."""

    def test_decoder_steps_equal_one_pass(self, generative_class: Any) -> None:
        model = self.build(generative_class)
        inputs = self.inputs(generative_class, model.config)
        target = inputs.pop("decoder_input_ids")
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        inputs["attention_mask"][1, -2:] = 0
        expected = self.run(model, inputs, decoder_input_ids=target, use_cache=False)[0]
        encoded = self.run(model.get_encoder(), inputs)
        given = {"encoder_outputs": encoded, "attention_mask": inputs["attention_mask"]}
        cache, outputs = None, []
        for column in target.split(1, dim=1):
            step = {
                **given,
                "decoder_input_ids": column,
                "past_key_values": cache,
                "use_cache": True,
            }
            output = self.run(model, step)
            cache = output.past_key_values
            outputs.append(output[0])
        expect_close(torch.cat(outputs, 1), expected, "decoder steps", self.tolerance)
        legacy = output.past_key_values.to_legacy_cache()
        expect(len(legacy[0]) == 4, f"a layer's past holds {len(legacy[0])} tensors, not 4")

"""What ``generate`` must do with any model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dovetail.caches import recurrent_layers
from dovetail.errors import GenerationError
from dovetail.generation import ContinuousBatchingConfig
from dovetail.testing.subject import Subject, expect, expect_close

NEW = 6


class GenerationTests(Subject):
    """Greedy, beam and sampling runs agree with first principles and with each other."""

    def prompt(self, model: Any, batch: int = 2, length: int = 5) -> Tensor:
        """Token ids to continue, without special ones."""
        ids = self.tokens(model.config, batch, length + 1, seed="prompt")
        return ids[:, :-1]

    def generate(self, model: Any, ids: Tensor, **options: Any) -> Any:
        """``model.generate`` for exactly `NEW` tokens, greedily unless `options` say otherwise."""
        defaults = {"max_new_tokens": NEW, "min_new_tokens": NEW, "do_sample": False}
        options = {**defaults, "pad_token_id": model.config.pad_token_id or 0, **options}
        options.setdefault("attention_mask", torch.ones_like(ids))
        return model.generate(ids, **options)

    def new_tokens(self, model: Any, ids: Tensor, sequences: Tensor) -> Tensor:
        """What was generated, without a decoder's prompt or an encoder-decoder's start token."""
        return sequences[:, 1 if model.config.is_encoder_decoder else ids.shape[1] :]

    def next_logits(self, model: Any, ids: Tensor, sequences: Tensor) -> Tensor:
        """Logits of the token after `sequences`, by a plain forward pass."""
        if model.config.is_encoder_decoder:
            output = self.run(model, {"input_ids": ids, "decoder_input_ids": sequences})
        else:
            output = self.run(model, {"input_ids": sequences})
        return output.logits[:, -1]

    def test_greedy_takes_the_likeliest_token(self, generative_class: Any) -> None:
        model = self.build(generative_class)
        ids = self.prompt(model)
        result = self.generate(model, ids, min_new_tokens=None, eos_token_id=None)
        start = 1 if model.config.is_encoder_decoder else ids.shape[1]
        expect(result.shape == (2, start + NEW), f"the result has shape {tuple(result.shape)}")
        for end in range(start, result.shape[1]):
            likeliest = self.next_logits(model, ids, result[:, :end]).argmax(-1)
            expect(
                torch.equal(result[:, end], likeliest), f"token {end - start} is not the likeliest"
            )

    def test_cache_changes_nothing(self, generative_class: Any) -> None:
        model = self.build(generative_class)
        ids = self.prompt(model)
        expected = self.generate(model, ids)
        expect(
            torch.equal(self.generate(model, ids, use_cache=False), expected),
            "use_cache=False differs",
        )
        if not model.config.is_encoder_decoder:
            static = self.generate(model, ids, cache_implementation="static")
            expect(torch.equal(static, expected), "cache_implementation='static' differs")

    def test_padded_rows_generate_what_they_do_alone(self, generative_class: Any) -> None:
        model = self.build(generative_class)
        ids = self.prompt(model, batch=2, length=6)
        left = not model.config.is_encoder_decoder
        mask = torch.ones_like(ids)
        hidden = (1, slice(0, 2)) if left else (1, slice(4, 6))
        mask[hidden], ids[hidden] = 0, model.config.pad_token_id or 0
        for options in ({}, {"num_beams": 2}):
            batch = self.generate(model, ids, attention_mask=mask, **options)
            for row in range(2):
                alone_ids = ids[row : row + 1, mask[row].bool()]
                alone = self.new_tokens(
                    model, alone_ids, self.generate(model, alone_ids, **options)
                )
                got = self.new_tokens(model, ids, batch)[row : row + 1]
                expect(
                    torch.equal(got, alone),
                    f"row {row} gives {got.tolist()}, alone {alone.tolist()}",
                )

    def test_continuous_batching_changes_nothing(self, generative_class: Any) -> None:
        model = self.build(generative_class)
        ids = self.prompt(model, batch=3, length=6)
        prompts = [ids[row : row + 1, :length] for row, length in enumerate((1, 6, 4))]
        options = {"max_new_tokens": NEW, "min_new_tokens": NEW, "do_sample": False}
        batching = ContinuousBatchingConfig(page_size=4, max_batch_tokens=5)
        lists = [prompt[0].tolist() for prompt in prompts]
        try:
            outputs = model.generate_batch(lists, continuous_batching_config=batching, **options)
        except GenerationError:
            packs = not (model.config.is_encoder_decoder or recurrent_layers(model.config))
            expect(not packs, "generate_batch refuses a decoder without states")
            return
        for prompt, output in zip(prompts, outputs.values(), strict=True):
            expect(output.error is None, f"generate_batch fails: {output.error}")
            alone = self.new_tokens(model, prompt, self.generate(model, prompt))[0].tolist()
            got = output.generated_tokens
            expect(got == alone, f"{prompt.tolist()} goes on with {got}, alone with {alone}")

    def test_beams_are_sorted_and_scored_right(self, generative_class: Any) -> None:
        model = self.build(generative_class)
        ids = self.prompt(model, batch=1)
        result = self.generate(
            model,
            ids,
            num_beams=3,
            num_return_sequences=3,
            length_penalty=0.0,
            return_dict_in_generate=True,
            output_scores=True,
            min_new_tokens=None,
            eos_token_id=None,
        )
        scores = result.sequences_scores
        expect(
            torch.equal(scores, scores.sort(descending=True).values),
            f"scores are not sorted: {scores}",
        )
        start = result.sequences.shape[1] - NEW
        rows = ids.expand(3, -1)
        total = torch.zeros(3)
        for end in range(start, result.sequences.shape[1]):
            logits = self.next_logits(model, rows, result.sequences[:, :end])
            total += logits.log_softmax(-1).gather(1, result.sequences[:, end : end + 1])[:, 0]
        expect_close(scores, total, "beam scores", 1e-3)

    def test_sampling_follows_the_seed(self, generative_class: Any) -> None:
        model = self.build(generative_class)
        ids = self.prompt(model)
        runs = []
        for seed in (0, 0, 1, 2):
            torch.manual_seed(seed)
            runs.append(self.generate(model, ids, do_sample=True, top_k=0, temperature=1.5))
        expect(torch.equal(runs[0], runs[1]), "the same seed gives different tokens")
        expect(
            not all(torch.equal(runs[0], other) for other in runs[2:]),
            "all seeds give the same tokens",
        )
        cold = self.generate(model, ids, do_sample=True, top_k=1)
        expect(torch.equal(cold, self.generate(model, ids)), "top_k=1 is not greedy")

    def test_stops_at_the_end_token_and_pads(self, generative_class: Any) -> None:
        model = self.build(generative_class)
        ids = self.prompt(model)
        free = self.new_tokens(
            model, ids, self.generate(model, ids, min_new_tokens=None, eos_token_id=None)
        )
        end, pad_token = free[0, 2].item(), 3
        options = {"min_new_tokens": None, "eos_token_id": end, "pad_token_id": pad_token}
        result = self.new_tokens(model, ids, self.generate(model, ids, **options))
        for row, text in enumerate(free.tolist()):
            stop = text.index(end) + 1 if end in text else len(text)
            wanted = text[:stop] + [pad_token] * (result.shape[1] - stop)
            expect(
                result[row].tolist() == wanted, f"row {row} is {result[row].tolist()}, not {wanted}"
            )

    def test_scores_and_logits_are_returned(self, generative_class: Any) -> None:
        model = self.build(generative_class)
        ids = self.prompt(model)
        result = self.generate(
            model,
            ids,
            return_dict_in_generate=True,
            output_scores=True,
            output_logits=True,
            min_new_tokens=None,
            eos_token_id=None,
        )
        expect(len(result.scores) == len(result.logits) == NEW, "not one score per token")
        expect_close(
            torch.stack(result.scores, 1).argmax(-1),
            result.sequences[:, -NEW:],
            "likeliest by score",
            0,
        )

    def test_settings_are_saved_with_the_model(self, generative_class: Any, tmp_path: Path) -> None:
        model = self.build(generative_class)
        model.generation_config.max_new_tokens = 3
        model.generation_config.pad_token_id = 0
        model.save_pretrained(tmp_path)
        loaded = generative_class.from_pretrained(tmp_path)
        ids = self.prompt(loaded)
        result = loaded.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, min_new_tokens=3
        )
        count = self.new_tokens(loaded, ids, result).shape[1]
        expect(count == 3, f"generation_config.max_new_tokens=3 was saved, {count} tokens come")

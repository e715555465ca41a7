"""What training and resizing must do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from dovetail.testing.subject import Subject, expect, expect_close, set_dropout


class TrainingTests(Subject):
    """Losses, gradients, checkpointing, dropout."""

    def loss_and_gradients(self, model: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of `model` on its inputs, and the gradient of each parameter that has one."""
        inputs = self.inputs(type(model), model.config)
        model.zero_grad()
        loss = model(**inputs, **self.labels(type(model), model.config, inputs)).loss
        loss.backward()
        gradients = {
            name: parameter.grad.clone()
            for name, parameter in model.named_parameters()
            if parameter.grad is not None
        }
        return loss.detach(), gradients

    def test_every_parameter_gets_a_gradient(self, task_class: Any) -> None:
        model = self.build(task_class).train()
        _, gradients = self.loss_and_gradients(model)
        idle = [
            name
            for name, _ in model.named_parameters()
            if (name not in gradients or not gradients[name].any())
            and not any(
                re.search(pattern, f"{task_class.__name__}.{name}") for pattern in self.unused
            )
        ]
        expect(not idle, f"no gradient reaches {idle}")

    def test_gradient_checkpointing_changes_nothing(self, task_class: Any) -> None:
        model = self.build(task_class).train()
        loss, gradients = self.loss_and_gradients(model)
        for reentrant in (False, True):
            model.gradient_checkpointing_enable({"use_reentrant": reentrant})
            expect(model.is_gradient_checkpointing, "gradient checkpointing is not on")
            if reentrant:
                model.enable_input_require_grads()
            again, checkpointed = self.loss_and_gradients(model)
            expect_close(again, loss, "loss", 1e-6)
            expect_close(checkpointed, gradients, "gradients", self.tolerance)
        model.disable_input_require_grads()
        model.gradient_checkpointing_disable()
        expect(not model.is_gradient_checkpointing, "gradient checkpointing is still on")

    def test_training_lowers_the_loss(self, task_class: Any) -> None:
        model = self.build(task_class).train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
        first, _ = self.loss_and_gradients(model)
        for _ in range(5):
            optimizer.step()
            last, _ = self.loss_and_gradients(model)
        expect(
            last.item() < first.item(), f"five steps take the loss from {first:.4f} to {last:.4f}"
        )

    def test_dropout_acts_in_training_only(self, task_class: Any) -> None:
        config = self.config()
        if not set_dropout(config, 0.5):
            return
        model = task_class(config)
        inputs = self.inputs(task_class, config)
        torch.manual_seed(0)
        one, two = (self.run(model.train(), inputs)[0] for _ in range(2))
        expect(not torch.equal(one, two), "dropout has no effect in training")
        one, two = (self.run(model.eval(), inputs)[0] for _ in range(2))
        expect(torch.equal(one, two), "dropout acts in evaluation")


class EmbeddingTests(Subject):
    """The embedding of tokens can be read, replaced and resized; it may have `spare_rows` beyond
    the vocabulary."""

    spare_rows: ClassVar[int] = 0

    def test_vocabulary_grows_and_shrinks(self, model_class: Any, tmp_path: Path) -> None:
        model = self.build(model_class)
        inputs = self.inputs(model_class, model.config)
        size = model.config.get_text_config().vocab_size
        before = model.get_input_embeddings().weight.clone()
        expected = self.run(model, inputs)
        for new in (size + 10, size):
            model.resize_token_embeddings(new)
            self.check_vocabulary(model, new)
            after = model.get_input_embeddings().weight
            expect_close(after[:size], before[:size], "old rows", 0.0)
        expect_close(
            self.run(model, inputs)[0], expected[0], "output after growing and shrinking", 1e-5
        )
        model.resize_token_embeddings(size + 3, pad_to_multiple_of=16)
        padded = -(-(size + 3) // 16) * 16
        self.check_vocabulary(model, padded)
        model.save_pretrained(tmp_path)
        self.check_vocabulary(model_class.from_pretrained(tmp_path), padded)

    def check_vocabulary(self, model: Any, size: int) -> None:
        """What depends on the vocabulary has `size` rows, ties hold, and the last token works."""
        expect(
            model.config.get_text_config().vocab_size == size,
            "config.vocab_size is not the new size",
        )
        rows = model.get_input_embeddings().weight.shape[0] - self.spare_rows
        expect(rows == size, f"the embedding has {rows} rows, not {size}")
        output = model.get_output_embeddings()
        if output is not None:
            rows = output.weight.shape[0]
            expect(rows == size, f"the output layer has {rows} rows, not {size}")
        parameters = dict(model.named_parameters(remove_duplicate=False))
        for name, source in model.tied_weights().items():
            expect(parameters[name] is parameters[source], f"{name} is no longer {source}")
        inputs = self.inputs(type(model), model.config)
        inputs["input_ids"].view(-1)[0] = size - 1
        result = self.run(model, inputs, **self.labels(type(model), model.config, inputs))
        if output is not None and "logits" in result:
            expect(
                result.logits.shape[-1] == size,
                f"logits over {result.logits.shape[-1]} tokens, not {size}",
            )

    def test_embedding_can_be_replaced(self, model_class: Any) -> None:
        model = self.build(model_class)
        old = model.get_input_embeddings()
        new = torch.nn.Embedding(old.num_embeddings, old.embedding_dim)
        model.set_input_embeddings(new)
        expect(model.get_input_embeddings() is new, "get_input_embeddings is not what was set")
        inputs = self.inputs(model_class, model.config)
        seen: list[Tensor] = []
        new.register_forward_hook(lambda module, args, output: seen.append(output))
        self.run(model, inputs)
        expect(bool(seen), "the new embedding is not used")

"""The task ``surprise``: how unexpected a text is to a language model."""

import torch

from dovetail.pipelines import Pipeline


class SurprisePipeline(Pipeline):
    """Mean negative log-likelihood per token; with `bits`, in bits."""

    def _sanitize_parameters(self, bits=False, **kwargs):
        return {}, {}, {"bits": bits}

    def preprocess(self, inputs):
        """Tokenize one text."""
        return dict(self.tokenizer(inputs, return_tensors="pt"))

    def _forward(self, model_inputs):
        return {"loss": self.model(**model_inputs, labels=model_inputs["input_ids"]).loss}

    def postprocess(self, model_outputs, bits=False):
        """The result for one text."""
        loss = model_outputs["loss"] / (torch.tensor(2.0).log() if bits else 1.0)
        return {"surprise": loss.item()}

"""Names of files and places that other code asks for, and the sign that tokenizers write for a
space.
"""

from __future__ import annotations

from huggingface_hub import constants

MODEL_CARD_NAME = "modelcard.json"
SPIECE_UNDERLINE = "▁"
TRANSFORMERS_CACHE = PYTORCH_TRANSFORMERS_CACHE = PYTORCH_PRETRAINED_BERT_CACHE = (
    constants.HF_HUB_CACHE
)
"""The folder of downloads; ``HF_HOME`` or ``HF_HUB_CACHE`` in the environment move it."""

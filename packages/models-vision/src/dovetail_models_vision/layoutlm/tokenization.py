"""LayoutLM's tokenizer is BERT's."""

from __future__ import annotations

from dovetail_models_text.bert.tokenization import BertTokenizer


class LayoutLMTokenizer(BertTokenizer):
    """WordPieces; boxes are the caller's, one for each token."""

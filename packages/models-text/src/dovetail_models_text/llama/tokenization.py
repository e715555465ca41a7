"""Llama's tokenizer: a SentencePiece BPE vocabulary in which unknown characters become bytes."""

from __future__ import annotations

from typing import Any, ClassVar

from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers

from dovetail.logging import get_logger
from dovetail.tokenizers import AddedToken
from dovetail.tokenizers.boundaries import BoundaryTokens
from dovetail.tokenizers.convert import sentencepiece
from dovetail.tokenizers.convert.sentencepiece import SPACE, SentencePieceModel
from dovetail.tokenizers.fast import arguments

logger = get_logger(__name__)


class LlamaTokenizer(BoundaryTokens):
    """SentencePiece tokenizer of Llama 1 and 2 and of many others.

    `add_bos_token` and `add_eos_token` say what is put around sequences, and may be set later. With
    `legacy` (the default, as the first checkpoints were used) a word after a special token gets a
    space before it; without, only the first word of a text does. `add_prefix_space` None leaves
    that first space to the vocabulary's own setting.
    """

    vocab_files_names: ClassVar[dict[str, str]] = {
        "vocab_file": "tokenizer.model",
        "tokenizer_file": "tokenizer.json",
    }
    model_input_names = ["input_ids", "attention_mask"]  # noqa: RUF012 - set per instance too
    padding_side = "left"

    def __init__(
        self,
        vocab_file: str | None = None,
        tokenizer_file: str | None = None,
        clean_up_tokenization_spaces: bool = False,
        unk_token: str | AddedToken = "<unk>",
        bos_token: str | AddedToken | None = "<s>",
        eos_token: str | AddedToken | None = "</s>",
        add_bos_token: bool = True,
        add_eos_token: bool = False,
        use_default_system_prompt: bool = False,
        legacy: bool | None = None,
        add_prefix_space: bool | None = None,
        **kwargs: Any,
    ) -> None:
        if legacy is None and tokenizer_file is None and vocab_file is not None:
            logger.info("legacy is not given for LlamaTokenizer: the older behaviour is used.")
        legacy = True if legacy is None else legacy
        settings = arguments(locals())
        if add_prefix_space is not None and vocab_file is not None:
            kwargs["from_slow"] = True
        super().__init__(**settings, **kwargs)
        self.legacy = legacy
        self.use_default_system_prompt = use_default_system_prompt
        self.set_boundaries(add_bos_token, add_eos_token)

    def build_backend(self, settings: dict[str, Any]) -> Tokenizer | None:
        """Llama's reading of a ``tokenizer.model``: no character map, spaces kept."""
        vocab_file = settings.get("vocab_file")
        if vocab_file is None:
            return None
        model = SentencePieceModel.from_file(vocab_file)
        prefix = settings["add_prefix_space"]
        prefix = model.add_dummy_prefix if prefix is None else prefix
        tokenizer = Tokenizer(sentencepiece.build_model(model, byte_fallback=True))
        spaces = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
        if settings["legacy"]:
            steps = [normalizers.Prepend(SPACE)] if prefix else []
            tokenizer.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", SPACE)])
        else:
            scheme = "first" if prefix else "never"
            tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(SPACE, scheme, split=False)
        tokenizer.decoder = decoders.Sequence(
            [*spaces, decoders.Strip(" ", 1, 0)] if prefix else spaces
        )
        sentencepiece.add_in_order(tokenizer, [token for _, token in model.special_pieces])
        return tokenizer

    @property
    def can_save_slow_tokenizer(self) -> bool:  # type: ignore[override]
        """Whether the ``tokenizer.model`` that this one was made of is there to be copied."""
        return self.vocab_file_exists

    def save_vocabulary(
        self, save_directory: str, filename_prefix: str | None = None
    ) -> tuple[str, ...]:
        """Copy ``tokenizer.model``, where this tokenizer was made of one."""
        return self._copy_vocab_file(save_directory, filename_prefix)

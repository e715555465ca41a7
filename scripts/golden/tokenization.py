"""Golden cases of tokenizers, chat templates and tool schemas: small vocabularies and what the
reference library makes of odd texts with them.

The vocabularies are trained here, on a few sentences, and kept beside the cases, because training
is not repeatable across releases of the trainers: they are made only when absent.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import chat_cases
import sentencepiece
import tiktoken
import transformers
from cases import ROOT
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers.convert_slow_tokenizer import TikTokenConverter
from transformers.utils import get_json_schema

NAME = "tokenizers"
FOLDER = ROOT / "tests" / "golden" / NAME
SENTENCES = (
    "The quick brown fox jumps over the lazy dog, and nobody minds.",
    "In 1997 she paid $3.50 for a cup of tea; it wasn't worth that much!",
    "Hello world: hello again, worldly people of the whole world.",
    "Tokenizers split words into pieces, pieces into bytes, and bytes into nothing.",
    "Çok güzel, naïve café, Straße, Ærø, žluťoučký kůň.",
    "Быстрая лиса прыгает через ленивую собаку.",
    "日本語のテキストと漢字。 今日は良い天気です。",
    "def f(x):\n    return x + 1  # a comment\n",
)
TEXTS = (
    "",
    " ",
    "Hello world",
    "hello  world   again",
    "  leading and trailing  ",
    "The quick brown fox, and the lazy dog!",
    "don't I'm we've they'll 'quoted' o'clock",
    "price: $3.50, 1997, 1234567890",
    "naïve café ÀÉÎ Straße",
    "cafe\u0301 e\u0301\u0323 decomposed",
    "Быстрая лиса",
    "日本語のテキスト。漢字",
    "한국어 العربية नमस्ते ไทย",
    "👍🏽 👨\u200d👩\u200d👧 emoji",
    "ﬁ ligature ① ½ Ⅳ",
    "\u00a0nbsp\u2003em\u3000ideographic",
    "\ufeffbom \u200bzero\u200d width",
    "\x00\x01control\x7f",
    "İstanbul ẞ ŉ",
    "\U0001d518\U0001d52b\U0001d526 \U0010ffff",
    "tab\tnew\nline\r\nwindows",
    "def f(x):\n    return x + 1",
    "<s> special </s> <pad> <unk>",
    "[CLS] x [SEP] [MASK] [UNK]",
    "<|endoftext|>hi<|endoftext|> there",
    "<extra_id_0> masked <extra_id_1>.",
    "▁ ▁▁literal",
    "##wp ##ing",
    "x" * 120,
    "newtoken <new> a<new>b special<spec>ial",
)


def produce() -> int:
    """Write every file; returns how many tokenizers have cases."""
    transformers.logging.set_verbosity(transformers.logging.CRITICAL)
    make_vocabularies(FOLDER)
    for name, build in TOKENIZERS.items():
        write(f"{name}.json", record(build()))
    write("siglip.json", record_slow(transformers.SiglipTokenizer(path("unigram.model"))))
    write("texts.json", list(TEXTS))
    write("tiktoken.json", ranks())
    write("sentencepiece.json", pieces())
    write("chat.json", chats())
    write("schemas.json", schemas())
    return len(TOKENIZERS)


def write(name: str, content: Any) -> None:
    """Write JSON: one line for each entry, so that differences can be read."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    rows = content.items() if isinstance(content, dict) else enumerate(content)
    lines = [json.dumps(value, ensure_ascii=False, separators=(",", ":")) for _, value in rows]
    if isinstance(content, dict):
        lines = [f"{json.dumps(str(key))}:{line}" for key, line in zip(content, lines, strict=True)]
    start, end = "{}" if isinstance(content, dict) else "[]"
    (FOLDER / name).write_text(start + "\n" + ",\n".join(lines) + "\n" + end + "\n")


def path(name: str) -> str:
    """A vocabulary file."""
    return str(FOLDER / name)


SPECIAL = ("unk_token", "bos_token", "eos_token", "pad_token")
FRAME = (*SPECIAL, "sep_token", "cls_token")


def byte_level() -> Tokenizer:
    """The backend of GPT-2, for tokenizers that are published as ``tokenizer.json`` only."""
    return transformers.GPT2TokenizerFast(path("vocab.json"), path("merges.txt")).backend_tokenizer


TOKENIZERS: dict[str, Callable[[], Any]] = {
    "bert": lambda: transformers.BertTokenizerFast(path("vocab.txt")),
    "bert-cased": lambda: transformers.BertTokenizerFast(
        path("vocab.txt"), do_lower_case=False, strip_accents=False, tokenize_chinese_chars=False
    ),
    "gpt2": lambda: transformers.GPT2TokenizerFast(
        path("vocab.json"), path("merges.txt"), pad_token="<|endoftext|>"
    ),
    "gpt2-bos": lambda: transformers.GPT2TokenizerFast(
        path("vocab.json"),
        path("merges.txt"),
        pad_token="<|endoftext|>",
        add_bos_token=True,
        add_prefix_space=True,
    ),
    "gpt-neox": lambda: transformers.GPTNeoXTokenizerFast(
        tokenizer_object=byte_level(),
        pad_token="<|endoftext|>",
        add_bos_token=True,
        add_eos_token=True,
    ),
    "cohere": lambda: transformers.CohereTokenizerFast(
        tokenizer_object=byte_level(), **dict.fromkeys(SPECIAL, "<|endoftext|>")
    ),
    "bart": lambda: transformers.BartTokenizerFast(
        path("vocab.json"), path("merges.txt"), **dict.fromkeys(FRAME, "<|endoftext|>")
    ),
    "mbart": lambda: transformers.MBartTokenizerFast(path("unigram.model"), src_lang="ro_RO"),
    "mbart50": lambda: transformers.MBart50TokenizerFast(path("unigram.model"), src_lang="ro_RO"),
    "pegasus": lambda: transformers.PegasusTokenizerFast(path("pegasus.model"), offset=8),
    "gemma": lambda: transformers.GemmaTokenizerFast(path("gemma.model")),
    "clip": lambda: transformers.CLIPTokenizerFast(
        path("clip/vocab.json"), path("clip/merges.txt")
    ),
    "qwen2": lambda: transformers.Qwen2TokenizerFast(path("vocab.json"), path("merges.txt")),
    "llama": lambda: transformers.LlamaTokenizerFast(
        path("bpe.model"), pad_token="</s>", add_prefix_space=True
    ),
    "llama-new": lambda: transformers.LlamaTokenizerFast(
        path("bpe.model"),
        pad_token="</s>",
        legacy=False,
        add_prefix_space=True,
        add_eos_token=True,
    ),
    "llama-plain": lambda: transformers.LlamaTokenizerFast(
        path("bpe.model"), pad_token="</s>", add_prefix_space=False, add_bos_token=False
    ),
    "llama-unigram": lambda: transformers.LlamaTokenizerFast(
        path("unigram.model"), pad_token="</s>", add_prefix_space=True
    ),
    "t5": lambda: transformers.T5TokenizerFast(path("unigram.model"), extra_ids=4),
    "t5-new": lambda: transformers.T5TokenizerFast(
        path("unigram.model"), extra_ids=2, legacy=False
    ),
}


def record(tokenizer: Any) -> dict[str, Any]:
    """What a tokenizer makes of every text, of pairs, of cut texts, and of added tokens."""
    result: dict[str, Any] = {
        "special": tokenizer.special_tokens_map,
        "lengths": [len(tokenizer), tokenizer.vocab_size],
        "added": tokenizer.get_added_vocab(),
    }
    for text in TEXTS:
        encoded = tokenizer(text, return_offsets_mapping=True, return_special_tokens_mask=True)
        ids = encoded["input_ids"]
        result[f"text {text!r}"] = [
            ids,
            encoded["offset_mapping"],
            encoded["special_tokens_mask"],
            encoded.word_ids(),
            tokenizer.decode(ids),
            tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=True),
        ]
    pairs = {"text": list(TEXTS[2:9]), "text_pair": list(TEXTS[5:12])}
    words = [text.split() for text in TEXTS[2:9]]
    result["pairs"] = dict(tokenizer(**pairs, padding=True))
    result["cut"] = dict(tokenizer(**pairs, padding="max_length", truncation=True, max_length=16))
    result["cut left"] = dict(
        tokenizer(
            list(TEXTS[5:9]), padding=True, truncation=True, max_length=7, padding_side="left"
        )
    )
    result["windows"] = dict(
        tokenizer(
            **pairs,
            truncation="only_second",
            max_length=40,
            stride=3,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            padding="max_length",
        )
    )
    needs_prefix = type(tokenizer).__name__.startswith(("Bart", "GPT2", "Cohere"))
    if getattr(tokenizer, "add_prefix_space", True) or not needs_prefix:
        result["words"] = dict(tokenizer(words, is_split_into_words=True, padding=True))
    result["new"] = new_tokens(tokenizer)
    return result


CANONICAL = (
    "Hello, World! </s> foo-bar",
    "</s>, hi",
    "  [ x",
    "...</S> <UNK>!? Up",
    "ends</s>",
    "</s></s> ",
    "it's <user> ok",
)
"""Texts that show what a tokenizer does which drops case and punctuation."""


def record_slow(tokenizer: Any) -> dict[str, Any]:
    """What a tokenizer that knows no offsets makes of texts, pairs and cut texts."""
    result: dict[str, Any] = {
        "special": tokenizer.special_tokens_map,
        "lengths": [len(tokenizer), tokenizer.vocab_size],
    }
    for text in (*TEXTS, *CANONICAL):
        ids = tokenizer(text)["input_ids"]
        result[f"text {text!r}"] = [
            text,
            ids,
            tokenizer(text, add_special_tokens=False)["input_ids"],
            tokenizer.decode(ids),
            tokenizer.decode(ids, skip_special_tokens=True),
        ]
    pairs = {"text": list(TEXTS[2:9]), "text_pair": list(TEXTS[5:12])}
    result["pairs"] = dict(tokenizer(**pairs, padding=True))
    result["cut"] = dict(tokenizer(**pairs, padding="max_length", truncation=True, max_length=16))
    return result


def new_tokens(tokenizer: Any) -> list[Any]:
    """Added tokens, special and not."""
    counts = [
        tokenizer.add_tokens(["newtoken", "lazy"]),
        tokenizer.add_tokens([transformers.AddedToken("<new>", lstrip=True, rstrip=True)]),
        tokenizer.add_special_tokens({"additional_special_tokens": ["<spec>"]}),
    ]
    ids = [tokenizer(text)["input_ids"] for text in TEXTS]
    decoded = [tokenizer.decode(row, skip_special_tokens=True) for row in ids]
    return [counts, len(tokenizer), ids, decoded]


def ranks() -> dict[str, Any]:
    """Ids by the tiktoken library and by the reference's conversion, for both ways of splitting."""
    from tiktoken.load import load_tiktoken_bpe

    own = load_tiktoken_bpe(path("ranks.tiktoken"))
    converter = TikTokenConverter(path("ranks.tiktoken"), additional_special_tokens=[])
    converted = converter.converted()
    result: dict[str, Any] = {"converted": [converted.encode(text).ids for text in TEXTS]}
    for name, pattern in {
        "llama3": converter.pattern,
        "gpt2": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    }.items():
        encoding = tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=own, special_tokens={})
        result[name] = [encoding.encode_ordinary(text) for text in TEXTS]
    return result


def pieces() -> dict[str, Any]:
    """Ids by the sentencepiece library itself."""
    result = {}
    for name in ("unigram", "bpe", "char"):
        processor = sentencepiece.SentencePieceProcessor(model_file=path(f"{name}.model"))
        result[name] = [processor.encode(text) for text in TEXTS]
    return result


def chats() -> dict[str, Any]:
    """What templates make of conversations."""
    tokenizer = transformers.BertTokenizerFast(path("vocab.txt"))
    result = {}
    for name, (template, options) in chat_cases.CASES.items():
        text = tokenizer.apply_chat_template(
            chat_template=template, tokenize=False, **chat_cases.with_functions(options)
        )
        result[name] = text
    masked = tokenizer.apply_chat_template(
        chat_cases.CONVERSATION,
        chat_template=chat_cases.GENERATION,
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    result["assistant"] = [masked["input_ids"], masked["assistant_masks"]]
    return result


def schemas() -> dict[str, Any]:
    """The schemas of functions."""
    return {function.__name__: get_json_schema(function) for function in chat_cases.FUNCTIONS}


def make_word_ends(folder: Path) -> None:
    """Train byte pairs that mark the ends of words, as CLIP's do."""
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        end_of_word_suffix="</w>",
        show_progress=False,
        initial_alphabet=alphabet,
    )
    tokenizer.train_from_iterator(SENTENCES * 20, trainer)
    content = json.loads(tokenizer.to_str())["model"]
    names = [*sorted(alphabet), *(f"{letter}</w>" for letter in sorted(alphabet))]
    names += [name for name in content["vocab"] if name not in set(names)]
    names += ["<|startoftext|>", "<|endoftext|>"]
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in content["merges"]]
    folder.mkdir()
    vocab = {name: index for index, name in enumerate(names)}
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")


def make_vocabularies(folder: Path) -> None:
    """Train what is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "vocab.txt").exists():
        make_wordpiece(folder)
    if not (folder / "vocab.json").exists():
        make_byte_level(folder)
    if not (folder / "clip").exists():
        make_word_ends(folder / "clip")
    corpus = folder / "corpus.txt"
    corpus.write_text("\n".join(line.replace("\n", " ") for line in SENTENCES * 20))
    rules = folder / "rules.tsv"
    rules.write_text("FB01\t66 69\n2460\t31\nFF21\t41\nA0\t20\n3000\t20\n")
    common = {
        "input": str(corpus),
        "hard_vocab_limit": False,
        "normalization_rule_tsv": str(rules),
        "num_threads": 1,
        "minloglevel": 2,
        "character_coverage": 0.98,
    }
    for name, options in {
        "unigram": {"vocab_size": 300, "user_defined_symbols": ["<user>"]},
        "bpe": {"vocab_size": 560, "model_type": "bpe", "byte_fallback": True},
        "pegasus": {
            "vocab_size": 300,
            **{f"{name}_id": index for index, name in enumerate(("pad", "eos", "unk"))},
            "bos_id": -1,
        },
        "char": {"vocab_size": 100, "model_type": "char", "pad_id": 3},
        "gemma": {
            "vocab_size": 560,
            "model_type": "bpe",
            "byte_fallback": True,
            "add_dummy_prefix": False,
            **{f"{name}_id": index for index, name in enumerate(("pad", "eos", "bos", "unk"))},
            **{f"{name}_piece": f"<{name}>" for name in ("pad", "eos", "bos", "unk")},
        },
    }.items():
        if not (folder / f"{name}.model").exists():
            sentencepiece.SentencePieceTrainer.train(
                model_prefix=str(folder / name), **common, **options
            )
            (folder / f"{name}.vocab").unlink()
            forget_paths(folder / f"{name}.model")
    corpus.unlink()
    rules.unlink()


def forget_paths(model: Path) -> None:
    """Take out of a model file where on this machine it was trained."""
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(model.read_bytes())
    for field in ("input", "model_prefix"):
        proto.trainer_spec.ClearField(field)
    proto.normalizer_spec.ClearField("normalization_rule_tsv")
    model.write_bytes(proto.SerializeToString())


def make_wordpiece(folder: Path) -> None:
    """``vocab.txt``: uncased, with a few cased words."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=400,
        special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    vocab = sorted(tokenizer.get_vocab(), key=tokenizer.token_to_id)
    (folder / "vocab.txt").write_text("\n".join([*vocab, "Hello", "Быстрая", "##É"]) + "\n")


def make_byte_level(folder: Path) -> None:
    """``vocab.json``, ``merges.txt`` and the same as ``ranks.tiktoken``."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    state = json.loads(tokenizer.to_str())["model"]
    alphabet = transformers.models.gpt2.tokenization_gpt2.bytes_to_unicode()
    byte = {character: value for value, character in alphabet.items()}
    lines = [
        f"{base64.b64encode(bytes(byte[c] for c in token)).decode()} {index}"
        for token, index in sorted(state["vocab"].items(), key=lambda item: item[1])
    ]
    (folder / "ranks.tiktoken").write_text("\n".join(lines) + "\n")
    vocab = state["vocab"] | {"<|endoftext|>": len(state["vocab"])}
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False))
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in state["merges"]]
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")

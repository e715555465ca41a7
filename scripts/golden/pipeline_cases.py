"""The checkpoints of the pipelines' golden files, and what is asked of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Run:
    """One call of a pipeline: options of its constructor, inputs and arguments of the call."""

    name: str
    task: str
    inputs: list[Any]
    arguments: dict[str, Any]
    options: dict[str, Any] = field(default_factory=dict)

    def stored(self) -> dict[str, Any]:
        """What the golden file says of it."""
        return {key: value for key, value in vars(self).items() if key != "options" or value}


@dataclass
class Checkpoint:
    """A tiny model with a tokenizer or an image processor, and the runs to record with it."""

    name: str
    model: str
    config_class: str
    tokenizer: str
    config: dict[str, Any]
    task: str
    tokenizer_options: dict[str, Any] = field(default_factory=dict)
    recipes: dict[str, tuple[float, float]] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    image_processor: dict[str, Any] = field(default_factory=dict)

    def run(
        self, name: str, *inputs: Any, task: str = "", options: Any = None, **arguments: Any
    ) -> None:
        """Add a run."""
        self.runs.append(Run(name, task or self.task, list(inputs), arguments, options or {}))


BERT: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "max_position_embeddings": 64,
}
# Tokens differ more than positions and contexts do, or every token would get the same label.
SPREAD = {
    "word_embeddings": (0.0, 2.0),
    "(classifier|qa_outputs).weight": (0.0, 0.4),
    "attention.output.dense": (0.0, 0.06),
    "bias": (0.0, 0.1),
}
BERT_TOKENIZER = {"model_max_length": 64}
TEXTS = ["Hello world!", "This movie was not terrible, it was great.", "wolfgang"]


def labels(*names: str) -> dict[str, Any]:
    """A config's labels."""
    return {"id2label": dict(enumerate(names)), "label2id": {n: i for i, n in enumerate(names)}}


def bert(name: str, model: str, task: str, **config: Any) -> Checkpoint:
    """A tiny BERT."""
    return Checkpoint(
        name,
        model,
        "BertConfig",
        "bert",
        {**BERT, **config},
        task,
        BERT_TOKENIZER,
        SPREAD,
    )


def features() -> Checkpoint:
    """Hidden states."""
    case = bert("features", "BertModel", "feature-extraction")
    case.run("one", "Hello world!")
    case.run("batch", TEXTS, batch_size=2)
    case.run("truncated", TEXTS[1], truncation=True, tokenize_kwargs={"max_length": 5})
    padded = {"padding": "max_length", "max_length": 6}
    case.run("padded", TEXTS, truncation=True, tokenize_kwargs=padded, batch_size=3)
    return case


def masked() -> Checkpoint:
    """Masked tokens."""
    case = bert("masked", "BertForMaskedLM", "fill-mask")
    case.run("one", "the capital of france is [MASK].")
    case.run("two-masks", "my [MASK] is [MASK].", top_k=2)
    case.run("list", ["hello [MASK]", "the [MASK] was great ."], top_k=3)
    case.run("list-of-one", ["hello [MASK]"], top_k=2)
    case.run("batch", ["hello [MASK]", "the [MASK] was great ."], top_k=3, batch_size=2)
    case.run("targets", "i live in [MASK]", targets=["paris", "london", "berlins"])
    case.run("target", "i live in [MASK]", targets="paris")
    case.run("truncated", "[MASK] " + "hello " * 80, tokenizer_kwargs={"truncation": True}, top_k=1)
    return case


def classified() -> list[Checkpoint]:
    """Classifiers with three labels, with one, and with several at once."""
    task, model = "text-classification", "BertForSequenceClassification"
    three = bert("classifier", model, task, **labels("NEGATIVE", "NEUTRAL", "POSITIVE"))
    three.run("one", TEXTS[1])
    three.run("list", TEXTS)
    three.run("batch", TEXTS, batch_size=3)
    three.run("top-one", TEXTS[0], top_k=1)
    three.run("top-two", TEXTS, top_k=2)
    three.run("all", TEXTS[1], top_k=None)
    three.run("all-by-old-name", TEXTS[1], return_all_scores=True)
    three.run("sigmoid", TEXTS[1], function_to_apply="sigmoid", top_k=None)
    three.run("logits", TEXTS[1], function_to_apply="none", top_k=None)
    three.run("pair", {"text": TEXTS[0], "text_pair": TEXTS[1]})
    pairs = [{"text": text, "text_pair": TEXTS[0]} for text in TEXTS]
    three.run("pairs", pairs, batch_size=2, top_k=None)
    three.run("old-pair", [[[TEXTS[0], TEXTS[1]]]])
    three.run("alias", TEXTS[2], task="sentiment-analysis", options={"top_k": None})
    three.run("truncated", "hello " * 90, truncation=True, max_length=20)
    one = bert("regressor", model, task, num_labels=1)
    one.run("one", TEXTS[1])
    one.run("all", TEXTS, top_k=None)
    several = bert(
        "multi-label",
        model,
        task,
        problem_type="multi_label_classification",
        **labels("a", "b", "c"),
    )
    several.run("all", TEXTS[1], top_k=None)
    return [three, one, several]


def tokens() -> Checkpoint:
    """Named entities."""
    entity_labels = labels("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
    case = bert("tokens", "BertForTokenClassification", "token-classification", **entity_labels)
    sentence = "My name is Wolfgangs Sarahing, 7 and i live in Londoner - Berlin."
    long_text = " ".join([sentence] * 6)
    for strategy in ("none", "simple", "first", "average", "max"):
        case.run(strategy, sentence, aggregation_strategy=strategy)
        case.run(f"{strategy}-list", TEXTS, aggregation_strategy=strategy, task="ner")
    case.run("ignored", sentence, options={"ignore_labels": ["B-PER", "I-LOC"]})
    case.run("kept", sentence, aggregation_strategy="simple", options={"ignore_labels": []})
    case.run("cut", long_text, aggregation_strategy="first")
    for strategy in ("simple", "max"):
        options = {"aggregation_strategy": strategy, "stride": 10}
        case.run(f"stride-{strategy}", long_text, options=options)
    case.run("stride-batch", [long_text, sentence], options=options, batch_size=2)
    case.run("old-flags", sentence, grouped_entities=True)
    case.run("offsets", "hello world", offset_mapping=[(0, 0), (0, 5), (6, 11), (0, 0)])
    return case


def answered() -> Checkpoint:
    """Answers."""
    case = bert("answers", "BertForQuestionAnswering", "question-answering")
    context = "My name is Sarah and I live in London. Wolfgang works at Acme in Berlin since 1999."
    question = "Where was Wolfgangs working?"
    case.run("one", question=question, context=context)
    case.run("positional", question, context)
    case.run("dictionary", {"question": question, "context": context}, top_k=3)
    case.run("several", question=[question, "who is it?"], context=context, top_k=2)
    case.run("batch", question=[question, "who?"], context=[context, TEXTS[1]], batch_size=2)
    case.run(
        "impossible", question=question, context=context, handle_impossible_answer=True, top_k=4
    )
    case.run("pieces", question=question, context=context, align_to_words=False, top_k=5)
    case.run("short", question=question, context=context, max_answer_len=2, top_k=3)
    long_context = " ".join([context, "The city of Paris is the capital of France."] * 4)
    case.run("windows", question=question, context=long_context, top_k=4)
    strided = {"max_seq_len": 30, "doc_stride": 8, "top_k": 4}
    case.run("stride", question=question, context=long_context, **strided)
    case.run("stride-batch", question=question, context=long_context, batch_size=4, **strided)
    padded = {"padding": "max_length", "handle_impossible_answer": True}
    case.run("padded", question=question, context=context, **strided, **padded)
    return case


def entailed() -> Checkpoint:
    """Labels by entailment."""
    names = labels("contradiction", "neutral", "entailment")
    case = bert("entailment", "BertForSequenceClassification", "zero-shot-classification", **names)
    topics = ["politics", "food", "science"]
    case.run("one", TEXTS[1], candidate_labels=topics)
    case.run("commas", TEXTS[1], "politics, food ,science")
    case.run("single-label", TEXTS[0], candidate_labels="food")
    case.run("multi-label", TEXTS[0], candidate_labels=topics, multi_label=True)
    case.run("template", TEXTS[0], candidate_labels=topics, hypothesis_template="it is about {}!")
    case.run("list", TEXTS, candidate_labels=topics)
    case.run("batch", TEXTS, candidate_labels=topics, batch_size=4)
    case.run("cut", "hello " * 90, candidate_labels=topics)
    return case


def continued() -> Checkpoint:
    """Continuations of texts and chats, greedy and with beams."""
    config = {
        "n_embd": 32,
        "n_layer": 2,
        "n_head": 4,
        "n_positions": 128,
        "bos_token_id": 0,
        "eos_token_id": 0,
    }
    case = Checkpoint(
        "continuations",
        "GPT2LMHeadModel",
        "GPT2Config",
        "gpt2",
        config,
        "text-generation",
        {"model_max_length": 128},
        {"wpe": (0.0, 1.5)},
    )
    short = {"max_new_tokens": 6, "do_sample": False}
    case.run("one", "hello the world", **short)
    case.run("list", ["hello", "the world in"], **short)
    case.run("new-text", "hello the world", return_full_text=False, **short)
    case.run("tensors", "hello", return_tensors=True, **short)
    case.run("beams", "in the", num_beams=3, num_return_sequences=2, **short)
    case.run("prefix", "world", prefix="hello the", **short)
    case.run(
        "prefix-length", "world", prefix="hello the", do_sample=False, max_length=12, min_length=8
    )
    case.run("hole", "the world " * 40, handle_long_generation="hole", **short)
    case.run("stop", "hello the", stop_sequence="n", max_new_tokens=12, do_sample=False)
    case.run(
        "truncated",
        "the world " * 9,
        truncation=True,
        max_length=20,
        min_length=2,
        do_sample=False,
        max_new_tokens=3,
    )
    chat = [{"role": "system", "content": "be good"}, {"role": "user", "content": "hello"}]
    begun = [*chat, {"role": "assistant", "content": "the world"}]
    case.run("chat", chat, **short)
    case.run("chat-new-text", chat, return_full_text=False, **short)
    case.run("chats", [chat, begun], **short)
    case.run("chat-continued", begun, **short)
    case.run("chat-answered", begun, continue_final_message=False, **short)
    return case


def transformed() -> Checkpoint:
    """Text to text."""
    config = {
        "d_model": 32,
        "d_kv": 8,
        "d_ff": 37,
        "num_layers": 2,
        "num_heads": 4,
        "decoder_start_token_id": 0,
        "task_specific_params": {
            "summarization": {
                "prefix": "summarize: ",
                "min_length": 4,
                "max_length": 9,
                "num_beams": 2,
            },
            "translation_en_to_de": {"prefix": "translate English to German: ", "max_length": 9},
        },
    }
    case = Checkpoint(
        "transformations",
        "T5ForConditionalGeneration",
        "T5Config",
        "t5",
        config,
        "text2text-generation",
        {"model_max_length": 64},
    )
    case.run("one", "hello world is good.", max_new_tokens=6)
    case.run("list", ["hello world", "the world is good, hello."], max_new_tokens=6)
    case.run("batch", ["hello world", "the world is good, hello."], max_new_tokens=6, batch_size=2)
    case.run("tensors", "hello world", return_tensors=True, max_new_tokens=5)
    case.run("beams", "hello", num_beams=3, num_return_sequences=2, max_new_tokens=5)
    case.run(
        "beams-list", ["hello", "world"], num_beams=2, num_return_sequences=2, max_new_tokens=5
    )
    case.run("truncated", "hello world " * 60, truncation=True, max_new_tokens=4)
    case.run("summary", "the world is good, hello.", task="summarization")
    case.run("translation", "hello world", task="translation_en_to_de")
    case.run("translations", ["hello world", "is good"], task="translation", batch_size=2)
    return case


CHECKPOINTS = [
    features(),
    masked(),
    *classified(),
    tokens(),
    answered(),
    entailed(),
    continued(),
    transformed(),
]

"""Encoder-decoders."""

from __future__ import annotations

from dovetail_models_text.declarations.family import CLASSIFIERS, family, picked

ENCODER_DECODERS = (
    family(
        "bart",
        "Bart",
        ("Model", "ForCausalLM", "ForQuestionAnswering", "ForSequenceClassification"),
        auto=picked(
            "BartForConditionalGeneration",
            "ForMaskedLM",
            "ForPreTraining",
            "ForSeq2SeqLM",
            "WithLMHead",
        ),
        tokenizer="BartTokenizer",
        aliases={
            "BartPretrainedModel": "BartPreTrainedModel",
            "PretrainedBartModel": "BartPreTrainedModel",
        },
    ),
    family(
        "encoder-decoder",
        "EncoderDecoder",
        (),
        auto=picked("EncoderDecoderModel", "ForSeq2SeqLM", "WithLMHead"),
        models=(),
    ),
    family(
        "m2m_100",
        "M2M100",
        ("Model",),
        auto=picked("M2M100ForConditionalGeneration", "ForSeq2SeqLM", "WithLMHead"),
        tokenizer="M2M100Tokenizer",
    ),
    family(
        "marian",
        "Marian",
        ("Model", "ForCausalLM"),
        auto=picked("MarianMTModel", "ForSeq2SeqLM", "WithLMHead"),
        tokenizer="MarianTokenizer",
    ),
    family(
        "mbart",
        "MBart",
        ("Model", "ForCausalLM", "ForQuestionAnswering", "ForSequenceClassification"),
        auto=picked("MBartForConditionalGeneration", "ForMaskedLM", "ForSeq2SeqLM"),
        tokenizer="MBartTokenizer",
        aliases=dict.fromkeys(
            ("MBart50Tokenizer", "MBart50TokenizerFast"), "tokenization:MBart50Tokenizer"
        ),
    ),
    family(
        "pegasus",
        "Pegasus",
        ("Model", "ForCausalLM"),
        auto=picked("PegasusForConditionalGeneration", "ForSeq2SeqLM"),
        tokenizer="PegasusTokenizer",
    ),
    family(
        "t5",
        "T5",
        ("Model", *CLASSIFIERS),
        auto=picked("T5ForConditionalGeneration", "ForPreTraining", "ForSeq2SeqLM", "WithLMHead")
        | picked("T5EncoderModel", "ForTextEncoding"),
        models=("PreTrainedModel",),
        tokenizer="T5Tokenizer",
    ),
)

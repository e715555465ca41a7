"""Wav2Vec 2.0 passes the battery for models that hear, and refuses what it cannot hear."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dovetail import (
    AutoProcessor,
    Wav2Vec2Config,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForAudioFrameClassification,
    Wav2Vec2ForCTC,
    Wav2Vec2ForMaskedLM,
    Wav2Vec2ForPreTraining,
    Wav2Vec2ForSequenceClassification,
    Wav2Vec2ForXVector,
    Wav2Vec2Model,
    Wav2Vec2Processor,
)
from dovetail.errors import CheckpointError, ConfigError, TokenizerError
from dovetail.testing import seeded
from dovetail.testing.checkpoints import CheckpointTests
from dovetail.testing.forward import ForwardTests
from dovetail.testing.training import TrainingTests
from dovetail_models_audio.wav2vec2.masking import negative_indices, span_mask

SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "vocab_size": 19,
    "conv_dim": [8, 10],
    "conv_stride": [3, 2],
    "conv_kernel": [5, 3],
    "num_conv_pos_embeddings": 6,
    "num_conv_pos_embedding_groups": 2,
    "num_codevectors_per_group": 5,
    "codevector_dim": 8,
    "proj_codevector_dim": 6,
    "classifier_proj_size": 9,
    "tdnn_dim": [8, 12],
    "tdnn_kernel": [3, 1],
    "tdnn_dilation": [2, 1],
    "xvector_output_dim": 7,
    "layerdrop": 0.0,
    "apply_spec_augment": False,
}
FRAMES = 15
LETTERS = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ"]


class TestWav2Vec2(ForwardTests, CheckpointTests, TrainingTests):
    config_class = Wav2Vec2Config
    model_classes = (
        Wav2Vec2Model,
        Wav2Vec2ForCTC,
        Wav2Vec2ForMaskedLM,
        Wav2Vec2ForPreTraining,
        Wav2Vec2ForSequenceClassification,
        Wav2Vec2ForAudioFrameClassification,
        Wav2Vec2ForXVector,
    )
    sizes = SIZES
    unused = ("masked_spec_embed", r"ForPreTraining\.quantizer\.weight_proj")

    def inputs(
        self, model_class: Any, config: Any, batch: int = 2, length: int = 95
    ) -> dict[str, Any]:
        return {"input_values": torch.from_numpy(seeded.noise("sounds", (batch, 95)))}

    def labels(self, model_class: Any, config: Any, inputs: Any) -> dict[str, Any]:
        name = model_class.__name__
        if name.endswith("ForCTC"):
            return {"labels": torch.tensor([[3, 4, 4, 7], [5, 6, -100, -100]])}
        if name.endswith("FrameClassification"):
            kinds = torch.arange(2 * FRAMES) % config.num_labels
            return {"labels": torch.nn.functional.one_hot(kinds).view(2, FRAMES, -1)}
        if name.endswith(("ForSequenceClassification", "ForXVector")):
            return {"labels": torch.tensor([1, 0])}
        return {}


GOLDEN = json.loads(
    (Path(__file__).parents[1] / "golden" / "audio" / "ctc.json").read_text(encoding="utf-8")
)


@pytest.fixture
def vocabulary(tmp_path: Path) -> Path:
    path = tmp_path / "vocab.json"
    path.write_text(json.dumps({token: index for index, token in enumerate(LETTERS)}))
    return path


@pytest.fixture
def tokenizer(vocabulary: Path) -> Wav2Vec2CTCTokenizer:
    return Wav2Vec2CTCTokenizer(str(vocabulary))


def plain(value: Any) -> Any:
    return value if isinstance(value, str) else json.loads(json.dumps(dict(value)))


def test_texts_become_the_ids_of_the_reference(tokenizer: Any, vocabulary: Path):
    assert {text: tokenizer(text)["input_ids"] for text in GOLDEN["ids"]} == GOLDEN["ids"]
    padded = tokenizer(list(GOLDEN["ids"])[:3], padding=True)
    assert dict(padded) == GOLDEN["padded"]
    lower = Wav2Vec2CTCTokenizer(str(vocabulary), do_lower_case=True)
    assert lower("Hello you")["input_ids"] == GOLDEN["lower-ids"]
    assert lower.decode(GOLDEN["frames"][0]) == GOLDEN["lower-text"]


@pytest.mark.parametrize("name", GOLDEN["options"])
def test_frames_become_the_texts_of_the_reference(name: str, tokenizer: Any):
    options = GOLDEN["options"][name]
    said = [plain(tokenizer.decode(ids, **options)) for ids in GOLDEN["frames"] if ids]
    wanted = GOLDEN["decoded"][name]
    if isinstance(wanted[0], dict):  # what was not asked for is left out
        wanted = [{key: v for key, v in one.items() if v is not None} for one in wanted]
    assert said == wanted


def test_batches_are_decoded_row_by_row(tokenizer: Any):
    batch = tokenizer.batch_decode(GOLDEN["frames"][:3], output_word_offsets=True)
    assert plain(batch) == {k: v for k, v in GOLDEN["batch"].items() if v is not None}
    assert tokenizer.batch_decode(torch.tensor([[5, 5, 0], [0, 6, 6]])) == ["E", "T"]
    assert tokenizer.decode([]) == ""


@pytest.mark.parametrize("ids", [[-100], [99], ["a"]])
def test_ids_beyond_the_vocabulary_are_refused(ids: list[Any], tokenizer: Any):
    with pytest.raises(TokenizerError):
        tokenizer.decode(ids)


def test_a_saved_tokenizer_is_the_same(tokenizer: Any, tmp_path: Path):
    tokenizer.save_pretrained(tmp_path / "saved")
    again = Wav2Vec2CTCTokenizer.from_pretrained(tmp_path / "saved")
    for text, ids in GOLDEN["ids"].items():
        assert again(text)["input_ids"] == ids
    assert again.get_vocab() == tokenizer.get_vocab()
    assert again.word_delimiter_token_id == 4


def test_each_language_has_its_vocabulary(tmp_path: Path):
    path = tmp_path / "vocab.json"
    common = {token: index for index, token in enumerate(LETTERS[:5])}
    nested = {"eng": {**common, "a": 5}, "deu": {**common, "b": 5, "ä": 6}}
    path.write_text(json.dumps(nested))
    tokenizer = Wav2Vec2CTCTokenizer(str(path), target_lang="eng")
    assert tokenizer("ab")["input_ids"] == [5, 3]
    tokenizer.set_target_lang("deu")
    assert tokenizer("ab ä")["input_ids"] == [3, 5, 4, 6]
    tokenizer.save_pretrained(tmp_path / "saved")
    again = Wav2Vec2CTCTokenizer.from_pretrained(tmp_path / "saved")
    assert again("ä")["input_ids"] == [6]
    with pytest.raises(TokenizerError, match="one of deu, eng"):
        tokenizer.set_target_lang("fra")


def test_one_vocabulary_has_no_languages(tokenizer: Any):
    with pytest.raises(TokenizerError, match="without languages"):
        tokenizer.set_target_lang("eng")


def test_the_processor_takes_sounds_and_texts(tokenizer: Any, tmp_path: Path):
    processor = Wav2Vec2Processor(Wav2Vec2FeatureExtractor(), tokenizer)
    processor.save_pretrained(tmp_path / "saved")
    Wav2Vec2Config(**SIZES).save_pretrained(tmp_path / "saved")
    sounds = [seeded.noise("sound", (length,)) for length in (9, 5)]
    texts = list(GOLDEN["ids"])[:2]
    for each in (processor, AutoProcessor.from_pretrained(tmp_path / "saved")):
        made = each(sounds, text=texts, sampling_rate=16000, padding=True)
        assert set(made) == set(GOLDEN["processed"])
        for name, rows in GOLDEN["processed"].items():
            np.testing.assert_allclose(np.array(made[name]), np.array(rows), atol=1e-5)
    labels = processor.pad(labels=[{"input_ids": [5]}, {"input_ids": [5, 6]}])
    assert labels["input_ids"] == [[5, 0], [5, 6]]
    with pytest.raises(ValueError, match="got neither"):
        processor()


def model(model_class: Any = Wav2Vec2Model, **config: Any) -> Any:
    return model_class(Wav2Vec2Config(**{**SIZES, **config})).eval()


def test_either_name_of_the_weight_norm_is_read(tmp_path: Path):
    first = model()
    state = {
        name.replace("original0", "x"): value.clone() for name, value in first.state_dict().items()
    }
    assert "encoder.pos_conv_embed.conv.weight_g" in state
    first.config.save_pretrained(tmp_path)
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    again, report = Wav2Vec2Model.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"]
    sounds = torch.ones(1, 95)
    torch.testing.assert_close(again(sounds)[0], first(sounds)[0])


def test_spec_augment_is_the_same_again_after_seeding():
    augmented = model(
        apply_spec_augment=True,
        mask_time_prob=0.4,
        mask_time_length=2,
        mask_feature_prob=0.3,
        mask_feature_length=4,
    ).train()
    for module in augmented.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    sounds = torch.from_numpy(seeded.noise("sounds", (2, 95)))
    outputs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        outputs.append(augmented(sounds, torch.ones(2, 95).long())[0])
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


def test_spans_stay_within_their_rows():
    torch.manual_seed(0)
    mask = span_mask((3, 40), 0.5, 4, torch.tensor([40, 12, 3]), least=1)
    assert mask[0].any()
    assert mask[1, :12].any()
    assert not mask[1, 12:].any()
    assert not mask[2].any()
    with pytest.raises(ConfigError, match="A span of 50"):
        span_mask((1, 40), 0.5, 50)


def test_negatives_are_other_masked_frames_of_the_row():
    mask = torch.zeros(2, 10, dtype=torch.bool)
    mask[0, [1, 4, 7]] = mask[1, [0, 9]] = True
    drawn = negative_indices(mask, 20)
    for row, frame in mask.nonzero().tolist():
        others = {row * 10 + each for each in mask[row].nonzero()[:, 0].tolist() if each != frame}
        assert set(drawn[row, frame].tolist()) <= others
    with pytest.raises(ValueError, match="one masked frame"):
        negative_indices(torch.eye(3, dtype=torch.bool), 2)


def test_pretraining_lowers_its_loss():
    torch.manual_seed(0)
    trained = model(Wav2Vec2ForPreTraining, apply_spec_augment=True, hidden_dropout=0.0).train()
    trained.set_gumbel_temperature(0.5)
    mask = torch.zeros(2, FRAMES, dtype=torch.bool)
    mask[:, ::2] = True
    inputs = {
        "input_values": torch.from_numpy(seeded.noise("sounds", (2, 95))),
        "mask_time_indices": mask,
        "sampled_negative_indices": negative_indices(mask, 4),
    }
    optimizer = torch.optim.AdamW(trained.parameters(), lr=3e-3)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = trained(**inputs).loss
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < sum(losses[:5])


@pytest.mark.parametrize(
    ("shape", "words"),
    [((95,), r"must be \(batch, samples\)"), ((1, 2, 95), "mono"), ((1, 10), "one frame needs 11")],
)
def test_sounds_that_make_no_frame_are_refused(shape: tuple[int, ...], words: str):
    with pytest.raises(ValueError, match=words):
        model()(torch.zeros(shape))


def test_labels_beyond_the_vocabulary_are_refused():
    with pytest.raises(ValueError, match="vocab_size=19"):
        model(Wav2Vec2ForCTC)(torch.zeros(1, 95), labels=torch.tensor([[19]]))


def test_classifiers_take_no_convolutional_adapter():
    with pytest.raises(ConfigError, match="add_adapter=False"):
        model(Wav2Vec2ForXVector, add_adapter=True)


def test_short_sounds_have_no_x_vector():
    with pytest.raises(ValueError, match="x-vector needs 5"):
        model(Wav2Vec2ForXVector)(torch.zeros(1, 17))


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"conv_dim": [8]}, "conv_dim 1"),
        ({"num_attention_heads": 5}, "does not divide hidden_size=32"),
        ({"num_codevector_groups": 3}, "does not divide codevector_dim=8"),
    ],
)
def test_impossible_sizes_are_refused(setting: dict[str, Any], words: str):
    with pytest.raises(ValueError, match=words):
        Wav2Vec2Config(**{**SIZES, **setting})


def test_the_adapter_of_a_language_is_loaded_with_its_head(tmp_path: Path):
    adapted = model(Wav2Vec2ForCTC, do_stable_layer_norm=True, adapter_attn_dim=5)
    adapted.save_pretrained(tmp_path)
    tensors = {
        name: torch.full_like(value.data, 0.5) for name, value in adapted._get_adapters().items()
    }
    tensors["lm_head.weight"], tensors["lm_head.bias"] = torch.ones(23, 32), torch.ones(23)
    save_file(tensors, tmp_path / "adapter.deu.safetensors", {"format": "pt"})
    loaded = Wav2Vec2ForCTC.from_pretrained(tmp_path, target_lang="deu")
    assert loaded.lm_head.out_features == loaded.config.vocab_size == 23
    assert loaded._get_adapters()["lm_head.bias"].eq(1).all()
    assert loaded.target_lang == "deu"
    with pytest.raises(CheckpointError, match="does not know the language 'fra'"):
        loaded.load_adapter("fra")
    with pytest.raises(ConfigError, match="has no adapters"):
        model(Wav2Vec2ForCTC).load_adapter("deu")


def test_parts_can_be_frozen():
    frozen = model(Wav2Vec2ForCTC)
    frozen.freeze_feature_encoder()
    assert not any(p.requires_grad for p in frozen.wav2vec2.feature_extractor.parameters())
    assert frozen.lm_head.weight.requires_grad
    frozen.freeze_base_model()
    assert not any(p.requires_grad for p in frozen.wav2vec2.parameters())
    with pytest.warns(FutureWarning, match="freeze_feature_encoder"):
        frozen.freeze_feature_extractor()

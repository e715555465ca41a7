"""The checkpoints of the golden files of tasks on pictures, and what is asked of each."""

from __future__ import annotations

from typing import Any

from pipeline_cases import Checkpoint, labels

TINY: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "image_size": 16,
    "patch_size": 8,
}
SQUARE = {"size": {"height": 16, "width": 16}}


def picture(name: str, width: int, height: int) -> dict[str, Any]:
    """The seeded picture `name`, which `dovetail.testing.pictures` makes."""
    return {"picture": name, "width": width, "height": height}


CAT, DOG, BIRD = picture("cat", 24, 20), picture("dog", 16, 16), picture("bird", 13, 30)
SCENE, STREET = picture("scene", 40, 30), picture("street", 32, 32)


def seeing(
    name: str, model: str, config_class: str, task: str, processor: str, **config: Any
) -> Checkpoint:
    """A tiny model of pictures with an image processor of squares."""
    case = Checkpoint(name, model, config_class, "", config, task)
    case.image_processor = {"image_processor_type": processor, **SQUARE}
    return case


def classified() -> list[Checkpoint]:
    """Classifiers with five labels, with one, and with several at once."""
    vit = ("ViTForImageClassification", "ViTConfig", "image-classification", "ViTImageProcessor")
    names = labels("cat", "dog", "bird", "fish", "tree", "house", "car")
    many = seeing("pictures-classifier", *vit, **TINY, **names)
    many.recipes = {"classifier.weight": (0.0, 1.0)}
    many.run("one", CAT)
    many.run("list", [CAT, DOG, BIRD])
    many.run("batch", [CAT, DOG, BIRD], batch_size=2)
    many.run("top-two", CAT, top_k=2)
    many.run("more-than-there-are", [BIRD], top_k=20)
    many.run("sigmoid", DOG, function_to_apply="sigmoid")
    many.run("logits", DOG, function_to_apply="none", top_k=3)
    many.run("options", [CAT, DOG], options={"top_k": 1, "batch_size": 2})
    one = seeing("pictures-regressor", *vit, **TINY, num_labels=1)
    one.run("one", CAT)
    several = seeing(
        "pictures-multi-label",
        *vit,
        **TINY,
        problem_type="multi_label_classification",
        **labels("a", "b", "c"),
    )
    # The reference library gives such models the softmax, and those of one label of several the
    # sigmoid: it has exchanged the two.
    several.run("all", [CAT, DOG], top_k=3, function_to_apply="sigmoid")
    return [many, one, several]


def features() -> Checkpoint:
    """Hidden states."""
    vit = ("ViTModel", "ViTConfig", "image-feature-extraction", "ViTImageProcessor")
    case = seeing("pictures-features", *vit, **TINY)
    case.run("one", CAT)
    case.run("batch", [CAT, DOG, BIRD], batch_size=2)
    case.run("pooled", [CAT, DOG], pool=True)
    plain = {"image_processor_kwargs": {"do_normalize": False}}
    case.run("processor", CAT, pool=True, **plain)
    return case


DETR: dict[str, Any] = {
    "use_timm_backbone": False,
    "use_pretrained_backbone": False,
    "backbone": None,
    "num_queries": 8,
    "d_model": 32,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 8,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 37,
    "decoder_ffn_dim": 37,
}


def resnet(*sizes: int) -> dict[str, Any]:
    """A backbone with a stage of each width."""
    return {
        "model_type": "resnet",
        "embedding_size": 8,
        "hidden_sizes": list(sizes),
        "depths": [1] * len(sizes),
        "layer_type": "basic",
        "out_features": [f"stage{number + 1}" for number in range(len(sizes))],
    }


def detected() -> Checkpoint:
    """Boxes."""
    case = seeing(
        "boxes",
        "DetrForObjectDetection",
        "DetrConfig",
        "object-detection",
        "DetrImageProcessor",
        **DETR,
        backbone_config=resnet(8, 12),
        **labels("cat", "dog", "bird"),
    )
    case.image_processor["size"] = {"shortest_edge": 32, "longest_edge": 48}
    case.recipes = {"class_labels_classifier.weight": (0.0, 0.6), "query_position": (0.0, 2.0)}
    case.run("one", SCENE, threshold=0.3)
    case.run("list", [SCENE, STREET], threshold=0.4)
    case.run("batch", [STREET, picture("park", 32, 32)], threshold=0.3, batch_size=2)
    case.run("none", SCENE, threshold=0.99)
    case.run("default", STREET)
    return case


def segmented() -> Checkpoint:
    """Surfaces."""
    segformer = seeing(
        "surfaces",
        "SegformerForSemanticSegmentation",
        "SegformerConfig",
        "image-segmentation",
        "SegformerImageProcessor",
        num_encoder_blocks=2,
        depths=[1, 1],
        sr_ratios=[2, 1],
        hidden_sizes=[16, 24],
        patch_sizes=[7, 3],
        strides=[4, 2],
        num_attention_heads=[2, 2],
        mlp_ratios=[2, 2],
        decoder_hidden_size=16,
        **labels("sky", "sea", "sand", "rock"),
    )
    segformer.image_processor["size"] = {"height": 32, "width": 32}
    segformer.recipes = {"classifier.weight": (0.0, 1.0)}
    segformer.run("one", SCENE)
    segformer.run("list", [SCENE, STREET], subtask="semantic")
    segformer.run("batch", [SCENE, STREET], batch_size=2)
    return segformer


def counted() -> Checkpoint:
    """Surfaces and things at once."""
    case = seeing(
        "things",
        "DetrForSegmentation",
        "DetrConfig",
        "image-segmentation",
        "DetrImageProcessor",
        **DETR,
        backbone_config=resnet(8, 12, 12, 12),
        **labels("sky", "sea", "cat", "dog"),
    )
    case.image_processor["size"] = {"shortest_edge": 64, "longest_edge": 96}
    case.recipes = {
        "class_labels_classifier.weight": (0.0, 0.5),
        "query_position": (0.0, 4.0),
        "mask_head.out_lay.bias": (0.0, 3.0),
        "mask_head.out_lay.weight": (0.0, 80.0),
        "bbox_attention.*weight": (0.0, 0.7),
    }
    loose = {"threshold": 0.2, "overlap_mask_area_threshold": 0.1}
    case.run("panoptic", SCENE, **loose)
    case.run("instance", SCENE, subtask="instance", **loose)
    case.run("semantic", [SCENE, STREET], subtask="semantic")
    case.run("batch", [STREET, picture("park", 32, 32)], batch_size=2, **loose)
    case.run("default", SCENE)
    return case


def claimed() -> Checkpoint:
    """Surfaces and things by queries that claim pixels."""
    case = seeing(
        "claims",
        "Mask2FormerForUniversalSegmentation",
        "Mask2FormerConfig",
        "image-segmentation",
        "Mask2FormerImageProcessor",
        backbone_config=resnet(8, 12, 12, 12),
        feature_size=32,
        mask_feature_size=32,
        hidden_dim=32,
        encoder_feedforward_dim=37,
        encoder_layers=1,
        decoder_layers=3,
        num_attention_heads=4,
        dim_feedforward=37,
        num_queries=8,
        **labels("sky", "sea", "cat", "dog"),
    )
    case.image_processor["size"] = {"shortest_edge": 64, "longest_edge": 96}
    case.recipes = {
        "class_predictor.weight": (0.0, 0.5),
        "mask_(projection|embedder).*weight": (0.0, 0.12),
    }
    loose = {"threshold": 0.2, "overlap_mask_area_threshold": 0.1}
    case.run("panoptic", SCENE, **loose)
    case.run("instance", SCENE, subtask="instance", threshold=0.1)
    case.run("semantic", [SCENE, STREET], subtask="semantic")
    case.run("batch", [STREET, picture("park", 32, 32)], batch_size=2, **loose)
    case.run("default", SCENE)
    return case


def enlarged() -> Checkpoint:
    """Larger pictures."""
    case = seeing(
        "larger-pictures",
        "Swin2SRForImageSuperResolution",
        "Swin2SRConfig",
        "image-to-image",
        "Swin2SRImageProcessor",
        image_size=16,
        embed_dim=16,
        depths=[1],
        num_heads=[2],
        window_size=8,
        upsampler="pixelshuffledirect",
        upscale=8,
    )
    del case.image_processor["size"]
    case.recipes = {"upsample.conv.weight": (0.0, 0.02)}
    case.run("one", STREET)
    case.run("list", [STREET, picture("park", 32, 32)])
    return case


def depths() -> Checkpoint:
    """Distances."""
    case = seeing(
        "depths",
        "DPTForDepthEstimation",
        "DPTConfig",
        "depth-estimation",
        "DPTImageProcessor",
        **{**TINY, "num_hidden_layers": 4},
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[8, 8, 12, 12],
        fusion_hidden_size=8,
        reassemble_factors=[4, 2, 1, 0.5],
    )
    case.run("one", SCENE)
    case.run("list", [SCENE, BIRD])
    case.run("batch", [SCENE, BIRD], batch_size=2)
    return case


def described() -> list[Checkpoint]:
    """Labels of the caller's choice."""
    text = {**TINY, "max_position_embeddings": 24}
    del text["image_size"], text["patch_size"]
    task, topics = "zero-shot-image-classification", ["world", "hello there", "a"]
    clip = seeing(
        "pictures-and-texts",
        "CLIPModel",
        "CLIPConfig",
        task,
        "CLIPImageProcessor",
        vision_config=TINY,
        text_config={**text, "vocab_size": 300, "eos_token_id": 2},
        projection_dim=16,
    )
    clip.image_processor["crop_size"] = {"height": 16, "width": 16}
    clip.image_processor["size"] = {"shortest_edge": 16}
    clip.recipes = {"logit_scale": (1.0, 0.0)}
    clip.tokenizer = "gpt2-padded"
    clip.tokenizer_options = {"model_max_length": 24, "pad_token": "<|endoftext|>"}
    siglip = seeing(
        "pictures-or-texts",
        "SiglipModel",
        "SiglipConfig",
        task,
        "SiglipImageProcessor",
        vision_config=TINY,
        text_config={**text, "vocab_size": 100},
    )
    siglip.recipes = {"logit_(scale|bias)": (1.0, 0.0)}
    siglip.tokenizer, siglip.tokenizer_options = "t5-short", {"model_max_length": 24}
    for case in (clip, siglip):
        case.run("one", CAT, candidate_labels=topics)
        case.run("list", [CAT, DOG], candidate_labels=topics)
        case.run("batch", [CAT, DOG, BIRD], candidate_labels=topics, batch_size=2)
        case.run("template", CAT, candidate_labels=topics, hypothesis_template="{} is good")
        case.run("single", CAT, candidate_labels=["hello"])
    return [clip, siglip]


def sought() -> Checkpoint:
    """Boxes around things of the caller's choice."""
    text = {**TINY, "max_position_embeddings": 24, "vocab_size": 300}
    del text["image_size"], text["patch_size"]
    case = seeing(
        "boxes-of-texts",
        "OwlViTForObjectDetection",
        "OwlViTConfig",
        "zero-shot-object-detection",
        "OwlViTImageProcessor",
        vision_config={**TINY, "patch_size": 4},
        text_config=text,
        projection_dim=32,
    )
    case.tokenizer = "gpt2-padded"
    case.tokenizer_options = {"model_max_length": 24, "pad_token": "<|endoftext|>"}
    case.recipes = {"logit_shift.bias": (-1.0, 0.0)}
    topics = {"candidate_labels": ["world", "hello there", "a"]}
    case.run("one", SCENE, threshold=0.45, **topics)
    case.run("few", SCENE, threshold=0.1, top_k=4, **topics)
    case.run("mappings", [{"image": SCENE, **topics}, {"image": STREET, **topics}], threshold=0.4)
    case.run("none", SCENE, threshold=0.99, **topics)
    return case


def asked() -> Checkpoint:
    """Answers to questions about pictures."""
    case = seeing(
        "questions",
        "ViltForQuestionAnswering",
        "ViltConfig",
        "visual-question-answering",
        "ViltImageProcessor",
        **TINY,
        vocab_size=200,
        max_position_embeddings=24,
        **labels("yes", "no", "two", "red", "blue", "a cat"),
    )
    case.image_processor |= {"size": {"shortest_edge": 16}, "size_divisor": 8}
    case.tokenizer, case.tokenizer_options = "bert-short", {"model_max_length": 24}
    case.recipes = {"classifier.3.weight": (0.0, 0.3)}
    case.run("one", SCENE, "hello world?")
    case.run("best", SCENE, "the world", top_k=1)
    case.run("list", [SCENE, STREET], question="hello world?", top_k=20)
    case.run("questions", SCENE, question=["hello", "the world is good"], top_k=2)
    both = [{"image": STREET, "question": "is it good"}, {"image": DOG, "question": "hello"}]
    case.run("mappings", both, top_k=2)
    case.run("batch", both, top_k=2, batch_size=2, padding="max_length")
    return case


def captioned() -> list[Checkpoint]:
    """Texts about pictures, by a pair of two models, and by one that begins them as it is told."""
    task = "image-to-text"
    text = {**TINY, "vocab_size": 120, "max_position_embeddings": 40}
    pair = seeing(
        "captions-by-a-pair",
        "VisionEncoderDecoderModel",
        "VisionEncoderDecoderConfig",
        task,
        "ViTImageProcessor",
        encoder={**TINY, "model_type": "vit"},
        decoder={**text, "model_type": "bert", "is_decoder": True, "add_cross_attention": True},
        decoder_start_token_id=2,
        pad_token_id=0,
        eos_token_id=3,
    )
    blip = seeing(
        "captions",
        "BlipForConditionalGeneration",
        "BlipConfig",
        task,
        "BlipImageProcessor",
        text_config={**text, "bos_token_id": 2, "sep_token_id": 3},
        vision_config=TINY,
    )
    for case in (pair, blip):
        case.tokenizer = "bert-short"
        case.tokenizer_options = {"model_max_length": 24}
        case.run("one", SCENE, max_new_tokens=6)
        case.run("list", [SCENE, STREET], generate_kwargs={"max_new_tokens": 4, "num_beams": 2})
        several = {"num_beams": 3, "num_return_sequences": 2}
        case.run("several", STREET, max_new_tokens=5, generate_kwargs=several)
    return [pair, blip]


def leafed() -> Checkpoint:
    """Answers to questions about documents whose words are given."""
    case = Checkpoint(
        "documents",
        "LayoutLMForQuestionAnswering",
        "LayoutLMConfig",
        "bert-short",
        {
            **{key: TINY[key] for key in list(TINY)[:4]},
            "max_position_embeddings": 64,
            "max_2d_position_embeddings": 1001,
        },
        "document-question-answering",
        {"model_max_length": 24},
        {
            "word_embeddings": (0.0, 2.0),
            "qa_outputs.weight": (0.0, 0.4),
            "attention.output.dense": (0.0, 0.06),
        },
    )
    text = ["hello", "world", "is", "good", "and", "the", "world", "lives", "in", "london", "today"]
    boxes = [[60 * n, 40 * n, 60 * n + 50, 40 * n + 30] for n in range(len(text))]
    page = [list(pair) for pair in zip(text, boxes, strict=True)]
    long = [[word, [n, n, 2 * n + 5, 2 * n + 9]] for n, word in enumerate(text * 4)]

    def ask(words: list[Any], question: str) -> dict[str, Any]:
        return {"image": None, "question": question, "word_boxes": words}

    case.run("one", ask(page, "where is it?"), top_k=1)
    case.run("three", ask(page, "where is it?"), top_k=3)
    full = {"padding": "max_length"}  # the reference cannot hold windows of several lengths
    case.run("windows", ask(long, "what is good?"), top_k=4, **full)
    case.run("stride", ask(long, "what?"), top_k=3, max_seq_len=16, doc_stride=4, **full)
    case.run("impossible", ask(page, "where?"), top_k=3, handle_impossible_answer=True)
    case.run("short", ask(page, "where is it?"), top_k=3, max_answer_len=2)
    case.run("list", [ask(page, "where?"), ask(long, "what?")], top_k=2, **full)
    both = [ask(page, "where?"), ask(long, "what?")]
    case.run("batch", both, top_k=2, batch_size=3, **full)
    return case


CHECKPOINTS = [
    *classified(),
    features(),
    *described(),
    detected(),
    segmented(),
    counted(),
    claimed(),
    enlarged(),
    depths(),
    sought(),
    asked(),
    *captioned(),
    leafed(),
]

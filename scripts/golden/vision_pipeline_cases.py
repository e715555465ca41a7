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


CHECKPOINTS = [*classified(), features()]

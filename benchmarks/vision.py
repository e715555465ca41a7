"""Forward passes of picture models beside the reference library's newest release: CPU time on one
thread, in alternating runs.

usage: python benchmarks/vision.py [--rounds 3] [--only WORD]

Each library runs in a process of its own and answers with its fastest call, in milliseconds:
RT-DETR with ResNets of 18 and 50 layers on a picture of 640 x 640 pixels, ViT-B/16 on one and on
eight of 224 x 224, a Qwen2-VL of 38 million weights on a text with pictures of 448 x 448 and
224 x 336, with random weights, float32, without gradients.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = {"dovetail": Path(sys.executable), "transformers": ROOT / ".venv-latest/bin/python"}
CALLS = 4
SMALL = {"hidden_sizes": [64, 128, 256, 512], "depths": [2, 2, 2, 2], "layer_type": "basic"}
LARGE = {
    "hidden_sizes": [256, 512, 1024, 2048],
    "depths": [3, 4, 6, 3],
    "layer_type": "bottleneck",
}
IMAGE = 1990
QWEN_TEXT = {
    "vocab_size": 2000,
    "hidden_size": 512,
    "intermediate_size": 1408,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "rope_theta": 1e6,
    "rope_scaling": {"type": "mrope", "rope_type": "default", "mrope_section": [8, 12, 12]},
}
QWEN_VISION = {"depth": 6, "embed_dim": 512, "hidden_size": 512, "num_heads": 8}
QWEN_GRIDS = [[1, 32, 32], [1, 16, 24]]
R18 = {"encoder_in_channels": [128, 256, 512], "hidden_expansion": 0.5, "decoder_layers": 3}


def detector(names: Any, backbone: dict[str, Any], **sizes: Any) -> Any:
    """An RT-DETR for the 80 classes of COCO."""
    stages = ["stage2", "stage3", "stage4"]
    config = names.RTDetrConfig(
        backbone_config=names.RTDetrResNetConfig(**backbone, out_features=stages),
        num_labels=80,
        **sizes,
    )
    return names.RTDetrForObjectDetection(config).eval()


def reader(names: Any) -> Any:
    """A small Qwen2-VL."""
    config = names.Qwen2VLConfig(
        text_config=QWEN_TEXT,
        vision_config=QWEN_VISION,
        image_token_id=IMAGE,
        video_token_id=IMAGE + 1,
        vision_start_token_id=IMAGE + 2,
        vision_end_token_id=IMAGE + 3,
    )
    return names.Qwen2VLForConditionalGeneration(config).eval()


def actions(library: str) -> dict[str, Callable[[], Any]]:
    """What is measured, by description; models are made when they are needed."""
    import torch

    names = importlib.import_module(library)
    torch.manual_seed(0)

    def forward(build: Callable[[], Any], batch: int, size: int) -> Callable[[], Any]:
        made: list[Any] = []

        def run() -> Any:
            if not made:
                made.extend((build(), torch.rand(batch, 3, size, size)))
            with torch.inference_mode():
                return made[0](pixel_values=made[1])

        return run

    def vit() -> Any:
        return names.ViTModel(names.ViTConfig()).eval()

    def read(made: list[Any]) -> Any:
        if not made:
            tokens = [rows * columns // 4 for _, rows, columns in QWEN_GRIDS]
            parts = [[IMAGE + 2, *[IMAGE] * count, IMAGE + 3] for count in tokens]
            text = torch.tensor([[5, *parts[0], *parts[1], *range(10, 40)]])
            inputs = {
                "input_ids": text,
                "position_ids": torch.arange(text.shape[1]).expand(3, 1, -1),
                "pixel_values": torch.rand(4 * sum(tokens), 3 * 2 * 14 * 14),
                "image_grid_thw": torch.tensor(QWEN_GRIDS),
            }
            made.extend((reader(names), inputs))
        with torch.inference_mode():
            return made[0](**made[1], use_cache=False)

    held: list[Any] = []
    return {
        "Qwen2-VL, 2 pictures": lambda: read(held),
        "RT-DETR R18, 1 x 640": forward(lambda: detector(names, SMALL, **R18), 1, 640),
        "RT-DETR R50, 1 x 640": forward(lambda: detector(names, LARGE), 1, 640),
        "ViT-B/16, 1 x 224": forward(vit, 1, 224),
        "ViT-B/16, 8 x 224": forward(vit, 8, 224),
    }


def work(library: str, only: str) -> None:
    """Measure: the least CPU time, in milliseconds, of a few calls."""
    warnings.simplefilter("ignore")
    figures = {}
    for name, action in actions(library).items():
        if only not in name:
            continue
        action()
        times = []
        for _ in range(CALLS):
            start = time.process_time()
            action()
            times.append(time.process_time() - start)
        figures[name] = 1000 * min(times)
    print(json.dumps(figures))


def measured(library: str, only: str) -> dict[str, float]:
    """The figures of one process."""
    command = [str(PYTHONS[library]), __file__, "--worker", library, "--only", only]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        raise SystemExit(f"{library} failed:\n{result.stderr}")
    return json.loads(result.stdout.splitlines()[-1])


def main() -> None:
    """Print a line for each action."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="actions whose description holds this")
    parser.add_argument("--worker", choices=list(PYTHONS), help="measure one, print JSON")
    options = parser.parse_args()
    if options.worker:
        work(options.worker, options.only)
        return
    runs: dict[str, list[dict[str, float]]] = {library: [] for library in PYTHONS}
    for _ in range(options.rounds):
        for library in PYTHONS:
            runs[library].append(measured(library, options.only))
    print(f"{'milliseconds':28}{'dovetail':>12}{'transformers':>14}{'ratio':>9}")
    for name in runs["dovetail"][0]:
        ours, theirs = (statistics.median(r[name] for r in runs[one]) for one in PYTHONS)
        print(f"{name:28}{ours:12.4g}{theirs:14.4g}{theirs / ours:8.2f}x")


if __name__ == "__main__":
    main()

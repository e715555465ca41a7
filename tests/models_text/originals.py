"""Original checkpoints from a description: files, names and shapes; values depend on names alone.

The golden producer loads this file too, in the reference library's environment, so it imports
neither dovetail nor the reference.
"""

from __future__ import annotations

import hashlib
import json
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

Weight = Callable[[str, tuple[int, ...]], Any]
Bundle = Callable[[Mapping[str, torch.Tensor], Path], None]


def write_original(folder: Path, case: Mapping[str, Any], weight: Weight, bundle: Bundle) -> None:
    """Write the files of `case` into `folder`.

    Each of ``case["files"]`` has tensors (name to shape), and maybe a `seed`, which goes before the
    names so that parts of a tensor differ; `copies`, names of tensors that are others; `under`, the
    key that holds them; `args`, the settings of a run beside them; and `text`, the YAML inside an
    ``.npz``. `bundle` writes TensorFlow's format.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in case.get("settings", {}).items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    for name, file in case["files"].items():
        tensors = {
            key: torch.from_numpy(weight(file.get("seed", "") + key, tuple(shape)))
            for key, shape in file["tensors"].items()
        }
        for key, other in file.get("copies", {}).items():
            tensors[key] = tensors[other]
        path = folder / name
        if path.suffix == ".npz":
            text = np.frombuffer(file["text"].encode() + b"\0", np.int8)
            arrays = {key: tensor.numpy() for key, tensor in tensors.items()}
            np.savez(path, **arrays, **{"special:model.yml": text})
        elif path.suffix == ".ckpt" and "under" not in file:
            bundle(tensors, path)
        elif path.suffix == ".safetensors":
            from safetensors.torch import save_file

            save_file(tensors, path)
        else:
            content: dict[str, Any] = {file["under"]: tensors} if "under" in file else tensors
            if "args" in file:
                content["args"] = Namespace(**file["args"])
            torch.save(content, path)


def digest(tensor: torch.Tensor) -> str:
    """Shape and values of a tensor in a few letters."""
    data = tensor.detach().float().contiguous().numpy().tobytes()
    shape = "x".join(map(str, tensor.shape))
    return f"{shape}:{hashlib.sha256(data).hexdigest()[:12]}"

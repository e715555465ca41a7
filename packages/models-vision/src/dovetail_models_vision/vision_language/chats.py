"""The pictures in the messages of a conversation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dovetail.errors import ProcessorError
from dovetail_models_vision.images.formats import is_pil_image
from dovetail_models_vision.images.loading import load_image
from dovetail_models_vision.videos.loading import load_video

SOURCES = ("url", "path", "base64")
"""Where a picture may be, besides the key called as its type."""


def pictures_in(
    conversation: Any, num_frames: int | None = None, video_fps: float | None = None
) -> tuple[list[Any], list[Any]]:
    """All images and all videos (lists of frames) of a conversation or several, in order, loaded.

    Of a video that is a file `num_frames` are read, evenly spaced, or `video_fps` per second.

    Raises:
        ProcessorError: a part of a message names no picture, or it cannot be loaded.
    """
    images, videos = [], []
    for part in parts_of(conversation):
        kind = part.get("type")
        if kind == "image":
            images.append(loaded_image(part))
        elif kind == "video":
            videos.append(loaded_video(part, num_frames, video_fps))
    return images, videos


def parts_of(conversation: Any) -> Iterator[Mapping[str, Any]]:
    """The parts of the contents of all messages that are lists of parts.

    Raises:
        ProcessorError: something is no message, or no part of one.
    """
    for message in conversation:
        if isinstance(message, list | tuple):
            yield from parts_of(message)
        elif not isinstance(message, Mapping):
            raise ProcessorError(
                f"conversation: a message is an object with role and content, not {message!r:.80}."
            )
        elif isinstance(message.get("content"), list | tuple):
            for part in message["content"]:
                if not isinstance(part, Mapping):
                    raise ProcessorError(
                        f"conversation: content lists hold objects with a type, not {part!r:.80}."
                    )
                yield part


def source_of(part: Mapping[str, Any]) -> Any:
    """The picture itself, or where it is.

    Raises:
        ProcessorError: the part does not say.
    """
    kind = part["type"]
    for name in (kind, *SOURCES):
        if part.get(name) is not None:
            return part[name]
    raise ProcessorError(
        f"conversation: a part of type {kind!r} has none of the keys {kind!r}, "
        f"{', '.join(map(repr, SOURCES))}; it has {sorted(part)}. Say what to show."
    )


def loaded_image(part: Mapping[str, Any]) -> Any:
    """The picture of a part of type image; arrays stay as they are."""
    source = source_of(part)
    return source if hasattr(source, "shape") and not is_pil_image(source) else load_image(source)


def loaded_video(part: Mapping[str, Any], num_frames: int | None, fps: float | None) -> Any:
    """The frames of a part of type video; frames stay as they are."""
    source = source_of(part)
    if hasattr(source, "shape") or isinstance(source, list | tuple):
        return source
    return load_video(source, num_frames=num_frames, fps=fps)

"""LAVIS's original checkpoints of InstructBLIP, read as models of videos: they are the same."""

from __future__ import annotations

from dovetail_models_vision.instructblip.conversion import layouts

VICUNA, FLAN_T5 = layouts("InstructBlipVideoForConditionalGeneration")

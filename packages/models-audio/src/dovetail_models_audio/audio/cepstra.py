"""Cepstra of log-mel spectrograms."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from dovetail.errors import ProcessorError


def mel_cepstrum(
    log_mel: np.ndarray, num_coefficients: int = 13, lifter: float = 0.0
) -> np.ndarray:
    """Mel-frequency cepstral coefficients (num_coefficients, frames) of (mels, frames).

    The orthonormal cosine transform along mel; with `lifter` the higher coefficients are raised.
    """
    mels = log_mel.shape[0]
    if not 0 < num_coefficients <= mels:
        raise ProcessorError(f"num_coefficients={num_coefficients}: use 1 to {mels}, the mels.")
    matrix = dct_matrix(num_coefficients, mels)
    if lifter:
        matrix = matrix * lifter_weights(num_coefficients, lifter)
    return (matrix.T.numpy() @ log_mel).astype(log_mel.dtype)


def dct_matrix(coefficients: int, bands: int) -> Tensor:
    """The orthonormal cosine transform of type two as a matrix (bands, coefficients), float64."""
    centers = torch.arange(bands, dtype=torch.float64)[:, None] + 0.5
    matrix = torch.cos(math.pi / bands * centers * torch.arange(coefficients))
    matrix *= math.sqrt(2.0 / bands)
    matrix[:, 0] = math.sqrt(1.0 / bands)
    return matrix


def lifter_weights(coefficients: int, lifter: float) -> Tensor:
    """What Kaldi and HTK multiply cepstra by: ``1 + lifter / 2 * sin(pi * i / lifter)``."""
    index = torch.arange(coefficients, dtype=torch.float64)
    return 1.0 + 0.5 * lifter * torch.sin(math.pi * index / lifter)

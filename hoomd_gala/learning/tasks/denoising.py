"""Denoising: the bonds as they were before noise was added.

Gaussian noise of 0.1 length scales is added to every component of every bond. Its mean over the
environment is removed first: a displacement of the particle in the middle, which shifts all bonds
alike, is another task (:mod:`~hoomd_gala.learning.tasks.shift_identification`).
"""

import torch
from torch import Generator, Tensor, nn

from ..datasets import Data
from .lengths import UNIT, mean_squared_error

#: Standard deviation of the noise in each direction, in length scales.
NOISE = 0.1

#: What the loss is.
LOSS = "mean squared error of a component / length scale²"


def corrupt(batch: Data, generator: Generator) -> Data:
    """Noisy bonds, and the clean ones as the target."""
    clean = batch["bonds"]
    noise = torch.randn(clean.shape, generator=generator, device=clean.device) * (NOISE * UNIT)
    noise -= noise.mean(dim=-2, keepdim=True)
    return {"bonds": clean + noise, "types": batch["types"], "target": clean}


def loss(network: nn.Module, batch: Data) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean squared error of the corrected bonds."""
    return mean_squared_error(network(batch["bonds"], batch["types"]), batch["target"]), {}


def baselines(training: Data, validation: Data) -> dict[str, dict[str, float]]:
    """Loss of leaving the bonds as they are."""
    error = mean_squared_error(validation["bonds"], validation["target"])
    return {"bonds left as they are": {"loss": float(error)}}

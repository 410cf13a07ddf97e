"""Shift identification: the displacement of the particle in the middle.

All bonds of an environment are shifted by the same Gaussian vector. Its standard deviation in each
direction is drawn for each environment from 0.01 to 0.3 length scales, uniformly in its logarithm,
so that small displacements are as frequent as large ones.
"""

import math

import torch
from torch import Generator, Tensor, nn

from ..datasets import Data
from .lengths import UNIT, mean_squared_error

#: Least and greatest standard deviation of the shift in each direction, in length scales.
SMALLEST, LARGEST = 0.01, 0.3

#: What the loss is.
LOSS = "mean squared error of a component / length scale²"


def corrupt(batch: Data, generator: Generator) -> Data:
    """Shift all bonds; the target is the vector that they were shifted by."""
    clean = batch["bonds"]
    exponent = torch.rand((len(clean), 1), generator=generator, device=clean.device)
    size = SMALLEST * torch.exp(exponent * math.log(LARGEST / SMALLEST)) * UNIT
    shift = size * torch.randn((len(clean), 3), generator=generator, device=clean.device)
    return {"bonds": clean + shift[:, None], "types": batch["types"], "target": shift}


def loss(network: nn.Module, batch: Data) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean squared error of the shift."""
    return mean_squared_error(network(batch["bonds"], batch["types"]), batch["target"]), {}


def baselines(training: Data, validation: Data) -> dict[str, dict[str, float]]:
    """Loss of the mean bond, which a shift moves along, and of no shift at all."""
    target = validation["target"]
    guesses = {
        "mean bond": validation["bonds"].mean(dim=-2),
        "zero vector": torch.zeros_like(target),
    }
    return {
        name: {"loss": float(mean_squared_error(guess, target))} for name, guess in guesses.items()
    }

"""Noisy bonds: the half of the bonds to which noise was added.

Gaussian noise of 0.5 length scales is added to every component of half of the bonds, chosen at
random.
"""

import math

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from ..datasets import Data
from .lengths import UNIT

#: Standard deviation of the noise in each direction, in length scales.
NOISE = 0.5

#: What the loss is.
LOSS = "cross-entropy of a bond"


def corrupt(batch: Data, generator: Generator) -> Data:
    """Bonds of which half have moved, and 1 for those, 0 for the others, as the target."""
    clean = batch["bonds"]
    clouds, n = clean.shape[:2]
    ranks = torch.rand((clouds, n), generator=generator, device=clean.device).argsort(dim=-1)
    moved = ranks < n // 2
    noise = torch.randn(clean.shape, generator=generator, device=clean.device) * (NOISE * UNIT)
    return {
        "bonds": clean + noise * moved[..., None],
        "types": batch["types"],
        "target": moved.long(),
    }


def loss(network: nn.Module, batch: Data) -> tuple[Tensor, dict[str, Tensor]]:
    """Cross-entropy of each bond, and the accuracy."""
    logits, target = (
        network(batch["bonds"], batch["types"]).flatten(0, 1),
        batch["target"].flatten(),
    )
    accuracy = (logits.argmax(-1) == target).float().mean()
    return cross_entropy(logits, target), {"accuracy": accuracy}


def baselines(training: Data, validation: Data) -> dict[str, dict[str, float]]:
    """Guessing."""
    return {"chance": {"loss": math.log(2), "accuracy": 0.5}}

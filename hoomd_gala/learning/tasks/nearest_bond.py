"""Nearest bond: the shortest bond, given all others."""

import torch
from torch import Generator, Tensor, nn

from ..datasets import Data
from .lengths import mean_squared_error

#: What the loss is.
LOSS = "mean squared error of a component / length scale²"


def corrupt(batch: Data, generator: Generator) -> Data:
    """All bonds but the shortest, and the shortest as the target; nothing is random."""
    bonds, types = batch["bonds"], batch["types"]
    clouds, n = bonds.shape[:2]
    shortest = bonds.square().sum(-1).argmin(dim=-1, keepdim=True)
    others = torch.arange(n - 1, device=bonds.device).expand(clouds, -1)
    others = others + (others >= shortest)
    cloud = torch.arange(clouds, device=bonds.device)[:, None]
    return {
        "bonds": bonds[cloud, others],
        "types": types[cloud, others],
        "target": bonds[cloud, shortest].squeeze(1),
    }


def loss(network: nn.Module, batch: Data) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean squared error of the missing bond."""
    return mean_squared_error(network(batch["bonds"], batch["types"]), batch["target"]), {}


def baselines(training: Data, validation: Data) -> dict[str, dict[str, float]]:
    """Loss of the mean of the other bonds, of minus their sum, and of the zero vector.

    Minus the sum is exact where the bonds of an environment add up to zero.
    """
    others, target = validation["bonds"], validation["target"]
    guesses = {
        "mean of the other bonds": others.mean(dim=-2),
        "minus the sum of the other bonds": -others.sum(dim=-2),
        "zero vector": torch.zeros_like(target),
    }
    return {
        name: {"loss": float(mean_squared_error(guess, target))} for name, guess in guesses.items()
    }

"""Autoencoding: an environment through a bottleneck, and back.

The bottleneck is an orientation and 8 numbers for each bond, which the loss keeps near a standard
normal distribution with a small weight.
"""

import torch
from torch import Generator, Tensor, nn

from ...networks import Autoencoder
from ..datasets import Data
from .lengths import UNIT, mean_squared_error

#: Weight of the Kullback-Leibler divergence in the loss.
KL_WEIGHT = 1e-5

#: Components of the linear baseline.
COMPONENTS = 8

#: What the loss is.
LOSS = "mean squared error of a component / length scale² + 1e-5 KL divergence of a bond"


def corrupt(batch: Data, generator: Generator) -> Data:
    """Leave the bonds as they are, and draw noise that samples the latent distribution."""
    bonds = batch["bonds"]
    shape = (*bonds.shape[:2], Autoencoder.LATENT)
    latent = torch.randn(shape, generator=generator, device=bonds.device)
    return {"bonds": bonds, "types": batch["types"], "latent_noise": latent}


def loss(network: nn.Module, batch: Data) -> tuple[Tensor, dict[str, Tensor]]:
    """Squared error plus weighted divergence; the metrics are the two without the weight.

    A sample of the latent distribution is decoded in training, its mean in evaluation.
    """
    noise = batch["latent_noise"] if network.training else None
    rebuilt, mean, log_variance = network(batch["bonds"], batch["types"], noise)
    error = mean_squared_error(rebuilt, batch["bonds"])
    divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1).mean()
    return error + KL_WEIGHT * divergence, {"mse": error, "kl": divergence}


def baselines(training: Data, validation: Data) -> dict[str, dict[str, float]]:
    """Squared error of the mean environment, and of its principal components.

    A bond's 8 latent numbers make 160 for an environment of 20 bonds, more than its 60 coordinates,
    so that as many principal components would be exact. The baseline has 8 for an environment, its
    bonds in the order of their lengths. Neither baseline rotates with the sample.
    """
    known = training["bonds"].flatten(1).double()
    held_out = validation["bonds"].flatten(1).double()
    middle = known.mean(dim=0)
    covariance = (known - middle).T @ (known - middle)
    axes = torch.linalg.eigh(covariance).eigenvectors[:, -COMPONENTS:]
    rebuilt = middle + (held_out - middle) @ axes @ axes.T
    results = {"mean environment": middle, f"{COMPONENTS} principal components": rebuilt}
    return {
        name: {"mse": float((guess - held_out).square().mean() / UNIT**2)}
        for name, guess in results.items()
    }

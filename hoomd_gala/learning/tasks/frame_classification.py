"""Frame classification: which frame was this environment taken from?

A frame is a unit cell at some noise level, a disordered sample, or a frame of a trajectory. No one
labels particles by hand: the label of an environment is where it came from.
"""

import math

import torch
from scipy.optimize import minimize_scalar
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from ..datasets import Data

#: What the loss is.
LOSS = "cross-entropy"


def corrupt(batch: Data, generator: Generator) -> Data:
    """The environments as they are; nothing is random."""
    return batch


def loss(network: nn.Module, batch: Data) -> tuple[Tensor, dict[str, Tensor]]:
    """Cross-entropy of the frame, and the accuracy."""
    logits, _ = network(batch["bonds"], batch["types"])
    accuracy = (logits.argmax(-1) == batch["labels"]).float().mean()
    return cross_entropy(logits, batch["labels"]), {"accuracy": accuracy}


def baselines(training: Data, validation: Data) -> dict[str, dict[str, float]]:
    """Guessing by how frequent each frame is, and naming the most frequent one."""
    labels = validation["labels"]
    # one more of each: a frame of which there is none in the training data is not impossible
    counts = torch.bincount(training["labels"], minlength=int(labels.max()) + 1).double() + 1
    loss = -(counts / counts.sum()).log()[labels].mean()
    accuracy = (labels == counts.argmax()).float().mean()
    return {"chance": {"loss": float(loss), "accuracy": float(accuracy)}}


#: Numbers that temperatures are chosen from at most: a model may have thousands of classes.
_MOST_LOGITS = 4_000_000


def calibrate(network: nn.Module, validation: Data, batch_size: int = 512) -> float:
    """Temperature that makes confidences match accuracies on the validation data.

    Temperature scaling: one positive number that divides all logits, chosen for the least
    cross-entropy (Guo et al., arXiv 1706.04599).
    """
    device = next(network.parameters()).device
    total = len(validation["labels"])
    with torch.inference_mode():
        n_classes = network(validation["bonds"][:1].to(device), validation["types"][:1].to(device))[
            0
        ].shape[-1]
        total = min(total, max(_MOST_LOGITS // n_classes, 1000))
        logits = torch.cat(
            [
                network(
                    validation["bonds"][start : start + batch_size].to(device),
                    validation["types"][start : start + batch_size].to(device),
                )[0].cpu()
                for start in range(0, total, batch_size)
            ]
        )[:total].double()
    return best_temperature(logits, validation["labels"][:total])


def best_temperature(logits: Tensor, labels: Tensor) -> float:
    """Number that divides logits (M, K) for the least cross-entropy of the labels (M,)."""

    def loss(log_temperature: float) -> float:
        return float(cross_entropy(logits / math.exp(log_temperature), labels))

    # the cross-entropy has one minimum: the log-likelihood is concave in 1 / temperature
    return math.exp(minimize_scalar(loss, bounds=(-2.5, 2.5), method="bounded").x)

"""Temperature scaling: confidences that match accuracies.

One positive number divides all logits of a classifier (Guo et al., arXiv 1706.04599).
"""

import math

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from .datasets import Data

#: Numbers that temperatures are chosen from at most: a model may have thousands of classes.
_MOST_LOGITS = 4_000_000


def calibrate(network: nn.Module, validation: Data, batch_size: int = 512) -> float:
    """Find the temperature of a classifier with the least cross-entropy on validation data."""
    device = next(network.parameters()).device
    bonds, types, labels = (validation[key] for key in ("bonds", "types", "labels"))

    def logits_of(rows: slice) -> Tensor:
        logits: Tensor = network(bonds[rows].to(device), types[rows].to(device))[0]
        return logits.cpu()

    with torch.inference_mode():
        n_classes = logits_of(slice(1)).shape[-1]
        total = min(len(labels), max(_MOST_LOGITS // n_classes, 1000))
        parts = [
            logits_of(slice(start, start + batch_size)) for start in range(0, total, batch_size)
        ]
    return best_temperature(torch.cat(parts)[:total].double(), labels[:total])


def best_temperature(logits: Tensor, labels: Tensor) -> float:
    """Return the divisor of logits (M, K) with the least cross-entropy of the labels (M,)."""

    def loss(log_temperature: float) -> float:
        return float(cross_entropy(logits / math.exp(log_temperature), labels))

    # the cross-entropy has one minimum: the log-likelihood is concave in 1 / temperature
    return math.exp(minimize_scalar(loss, bounds=(-2.5, 2.5), method="bounded").x)


def few_temperature(logits: Tensor, labels: Tensor) -> float:
    """Temperature with the least cross-entropy, as if one more particle had a random label.

    Confidence then stays below certainty, however few particles there are and even if all are
    labeled correctly. All classes count the same.

    Parameters
    ----------
    logits : (m, K) float64
        Of particles that were held out.
    labels : (m,) int64
        At least one of each class.
    """
    shares = (1 / torch.bincount(labels).double())[labels]
    doubt = 1 / (len(labels) + 1)
    target = (1 - doubt) * one_hot(labels, logits.shape[-1]) + doubt / logits.shape[-1]
    temperatures = torch.logspace(-2, 2, 401, dtype=torch.float64)
    losses = torch.stack(
        [cross_entropy(logits / t, target, reduction="none") for t in temperatures]
    )
    return float(temperatures[(losses @ shares).argmin()])

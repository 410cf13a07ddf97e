"""Frame classification: the frame that an environment was taken from.

A frame is a unit cell at some noise level, a disordered sample, or a frame of a trajectory. No
particles are labeled by hand: the label of an environment is where it came from.
"""

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from ..datasets import Data

#: What the loss is.
LOSS = "cross-entropy"


def corrupt(batch: Data, generator: Generator) -> Data:
    """Leave the environments as they are; nothing is random."""
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

"""The self-supervised tasks that networks are trained on, one module a task.

Every task has ``corrupt(batch, generator)``, which makes input and target from clean environments;
``loss(network, batch)``, the loss and metrics of a corrupted batch; ``baselines(training,
validation)``, what can be had of clean training and corrupted validation data without a network;
and ``LOSS``, which says what the loss is.
"""

from types import ModuleType

from . import (
    autoencoding,
    denoising,
    frame_classification,
    nearest_bond,
    noisy_bonds,
    shift_identification,
)

#: The tasks by name.
TASKS: dict[str, ModuleType] = {
    "denoising": denoising,
    "autoencoding": autoencoding,
    "shift-identification": shift_identification,
    "nearest-bond": nearest_bond,
    "noisy-bonds": noisy_bonds,
    "frame-classification": frame_classification,
}

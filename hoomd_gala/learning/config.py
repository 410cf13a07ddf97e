"""Tasks that networks can be trained on, and defaults of training; does not load torch."""

from dataclasses import dataclass

#: Names of the tasks, as on the command line and in model files. The networks for them are in
#: :data:`hoomd_gala.networks.NETWORKS`, their losses in :mod:`hoomd_gala.learning.tasks`.
TASK_NAMES = (
    "denoising",
    "autoencoding",
    "shift-identification",
    "nearest-bond",
    "noisy-bonds",
    "frame-classification",
)

#: The task whose networks have classes.
CLASSIFICATION = "frame-classification"

#: Displacements of unit cells, in units of the shortest distance.
NOISE_LEVELS = (0.01, 0.05, 0.1)

#: Size of the networks that ``hoomd-gala train`` makes. Smaller than the defaults of
#: :class:`~hoomd_gala.networks.CoreConfig`, which model files that do not give a size rely on.
CORE_SIZE = {"width": 32, "hidden": 32, "blocks": 2}


@dataclass(frozen=True)
class TrainingConfig:
    """How to train.

    Attributes
    ----------
    epochs : int
        Passes over the training data.
    batch_size : int
        Environments per step.
    learning_rate : float
        Peak of the one-cycle schedule.
    weight_decay : float
        Of AdamW.
    validation_fraction : float
        Share of the data that is held out (0.3 in arXiv 2411.14680).
    seed : int
        Of all random numbers: initial weights, the split, the order of batches, noise.
    patience : int, optional
        Stop when the validation loss has not improved for this many epochs, and keep the weights of
        the best epoch. All epochs are run and the last weights kept if not given.
    """

    epochs: int = 10
    batch_size: int = 64
    learning_rate: float = 8e-3
    weight_decay: float = 1e-4
    validation_fraction: float = 0.3
    seed: int = 1
    patience: int | None = None

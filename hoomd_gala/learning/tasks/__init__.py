"""The self-supervised tasks that networks are trained on, one module a task.

Every task has ``corrupt(batch, generator)``, which makes input and target from clean environments;
``loss(network, batch)``, the loss and metrics of a corrupted batch; ``baselines(training,
validation)``, what clean training and corrupted validation data give without a network; and
``LOSS``, which says what the loss is.

Clean batches are dictionaries of the tensors ``bonds`` (B, n, 3), ``types`` (B, n, 2·max_types) and
``labels`` (B,), as :func:`~hoomd_gala.learning.datasets.to_tensors` gives them; corrupted ones have
``bonds``, ``types`` and what the task's loss takes besides. Losses and metrics are scalars.
"""

from importlib import import_module
from types import ModuleType

from ..config import TASK_NAMES

#: The tasks by name.
TASKS: dict[str, ModuleType] = {
    name: import_module(f".{name.replace('-', '_')}", __name__) for name in TASK_NAMES
}

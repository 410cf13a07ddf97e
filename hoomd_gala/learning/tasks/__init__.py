"""The self-supervised tasks that networks are trained on, one module a task.

Every task has ``corrupt(batch, generator)``, which makes input and target from clean environments;
``loss(network, batch)``, the loss and metrics of a corrupted batch; ``baselines(training,
validation)``, what clean training and corrupted validation data give without a network; and
``LOSS``, which says what the loss is.
"""

from importlib import import_module
from types import ModuleType

from ..config import TASK_NAMES

#: The tasks by name.
TASKS: dict[str, ModuleType] = {
    name: import_module(f".{name.replace('-', '_')}", __name__) for name in TASK_NAMES
}

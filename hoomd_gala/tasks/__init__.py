"""The self-supervised tasks that networks are trained on, one module a task."""

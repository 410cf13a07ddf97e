"""``hoomd-gala models``: what is shipped."""

import argparse

from .arguments import Commands


def add(commands: Commands) -> None:
    """Add the command."""
    models = commands.add_parser("models", help="list the shipped models")
    models.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the models with the structures that they name."""
    from ..files.models import load_model, shipped_models

    for name, path in shipped_models().items():
        info = load_model(path).info
        named = [one for one in info.class_names if one not in info.withheld]
        print(f"{name}: {', '.join(named) or f'embeddings from {info.task}'}")
    if not shipped_models():
        print("no model is shipped; give the path of a model file instead")

"""``hoomd-gala finetune``: a model that continues from what another has learned."""

import argparse
from dataclasses import replace
from pathlib import Path

from ..errors import InputError
from .arguments import Commands, add_command, add_data, add_task, add_training, check_samples
from .train import train_and_write

SUMMARY = "continue from a model: another task, or names of your own"

_DESCRIPTION = """\
Trains a network that starts with the core of another model, and with its pooling layer where both
classify; the head is new. With --task it learns one of the tasks of hoomd-gala train, and writes
the same files. With --labels it learns, in seconds, to name structures after particles that you
have labeled, about 20 of each. Particles unlike all of these are given one of their names as
well, so label disordered ones too.
"""

_MORE = """\
examples:
  hoomd-gala finetune structures --gsd run.gsd --labels labels.csv \\
      --output mine.safetensors
  hoomd-gala finetune denoising --task frame-classification \\
      --output few.safetensors --gsd run.gsd --limit 500 --freeze-core

the second one without what the model has learned, to compare:
  hoomd-gala train --task frame-classification \\
      --output direct.safetensors --gsd run.gsd --limit 500
"""

#: Options that have a meaning with ``--labels``.
_WITH_LABELS = {"model", "output", "labels", "neighbors", "gsd", "seed"}


def add(commands: Commands) -> None:
    """Add the command."""
    finetune = add_command(commands, "finetune", SUMMARY, _DESCRIPTION, _MORE)
    finetune.add_argument("model", metavar="MODEL", help="a shipped model's name or a model file")
    add_task(finetune, "what to learn: see hoomd-gala train --help", required=False)
    finetune.add_argument(
        "--labels",
        type=Path,
        metavar="LABELS.csv",
        help="instead of --task: names of particles in the files of --gsd. The first line is "
        "frame,particle,name, with several files file,frame,particle,name; the others are like "
        "12,345,bcc, counted from 0",
    )
    finetune.add_argument(
        "--neighbors",
        nargs="+",
        metavar="TYPE",
        help="with --labels: types of the particles that count as neighbors, as will be given to "
        "hoomd-gala label (default: all, but no constituents of rigid bodies)",
    )
    add_data(finetune)
    add_training(finetune).add_argument(
        "--freeze-core",
        action="store_true",
        help="leave what is taken from MODEL as it is, and train the new head only",
    )
    # options that cannot be used with --labels are refused instead of ignored
    others = {
        action.dest: action.default
        for action in finetune._actions
        if action.dest not in _WITH_LABELS | {"help"}
    }
    finetune.set_defaults(run=lambda options: run(options, others))


def run(options: argparse.Namespace, others: dict[str, object]) -> None:
    """Train on a task, or learn from labels.

    Raises
    ------
    InputError
        If there is neither a task nor a file of labels, or options of both are given.
    """
    if options.labels:
        for name, default in others.items():
            if getattr(options, name) != default:
                option = name.replace("_", "-")
                raise InputError(f"--{option} cannot be used with --labels; give one of them.")
        _learn_labels(options)
    elif options.neighbors:
        raise InputError("--neighbors is for --labels only; give these.")
    elif options.task is None:
        raise InputError("there is nothing to learn; give --task, or --labels.")
    else:
        train_and_write(options, options.model, options.freeze_core)


def _learn_labels(options: argparse.Namespace) -> None:
    from ..files.atomic import check_new
    from ..files.shipped import find_model

    if not options.gsd:
        raise InputError("--labels are of particles in GSD files; give these with --gsd.")
    check_samples(options)
    output = check_new(options.output, ".safetensors", "model")
    find_model(options.model)
    if not options.labels.is_file():
        raise InputError(f"there is no file {options.labels}.")

    from ..files.cards import source_card, write_card
    from ..files.models import Model, load_model, save_model
    from ..learning.few_shot import few_shot
    from ..learning.hand_labels import labeled_systems, read_labels

    source = load_model(options.model)
    labels = read_labels(options.labels, options.gsd)
    names = list(dict.fromkeys(label.name for label in labels))
    systems = labeled_systems(options.labels, options.gsd, labels, names, options.neighbors)
    model = few_shot(source, systems, names, options.seed)
    card = model.info.card | {
        "command": options.line,
        "source": source_card(options.model, source.info),
        "data": {"trajectories": list(options.gsd), "labels": str(options.labels)}
        | ({"neighbors": list(options.neighbors)} if options.neighbors else {}),
    }
    save_model(output, Model(model.network, replace(model.info, card=card)))
    write_card(output.with_suffix(".json"), output)
    accuracy = card["metrics"]["validation_accuracy"]
    chance = card["baselines"]["most frequent name"]["accuracy"]
    print(
        f"{len(labels)} labeled particles of {len(names)} structures; cross-validated accuracy "
        f"{accuracy:.1%} (always the most frequent name: {chance:.1%})"
    )
    print(f"wrote {output}, with its card (.json, .md)")

"""``hoomd-gala finetune MODEL --labels``: a model after a few particles labelled by hand."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import InputError
from ..files.atomic import check_new
from ..files.models import Model, load_model, save_model, source_card, write_card
from ..files.trajectories import open_trajectory
from ..learning.few_shot import Labeled, few_shot
from ..learning.hand_labels import HandLabel, read_labels
from ..systems import as_system


def labeled_systems(
    path: Any, files: Sequence[str], labels: Sequence[HandLabel], names: Sequence[str]
) -> list[Labeled]:
    """Frames with labelled particles.

    Parameters
    ----------
    path : path
        Of the labels, for messages.
    files : sequence of str
        GSD files.
    labels : sequence of HandLabel
        As :func:`~hoomd_gala.learning.hand_labels.read_labels` gives them.
    names : sequence of str
        Names of the classes.

    Raises
    ------
    InputError
        If a file cannot be read, a frame or a particle is not there, or a frame has no
        environments.
    """
    found = []
    for index, file in enumerate(files):
        own = [label for label in labels if label.file == index]
        with open_trajectory(file) as trajectory:
            for frame in sorted({label.frame for label in own}):
                chosen = [label for label in own if label.frame == frame]
                where = f"{path}, line {chosen[0].line}"
                if frame >= len(trajectory):
                    raise InputError(
                        f"{where}: there is no frame {frame} in {file}, which has "
                        f"{len(trajectory)} frames, numbered from 0."
                    )
                try:
                    system = as_system(trajectory[frame])
                except InputError as error:
                    raise InputError(f"frame {frame} of {file}: {error}") from None
                total = len(system.positions)
                for label in chosen:
                    if label.particle >= total:
                        raise InputError(
                            f"{path}, line {label.line}: there is no particle {label.particle} in "
                            f"frame {frame} of {file}, which has {total} particles, numbered from "
                            "0."
                        )
                particles = np.array([label.particle for label in chosen])
                classes = np.array([names.index(label.name) for label in chosen])
                found.append(Labeled(system, particles, classes))
    return found


def run(options: argparse.Namespace, command: str) -> None:
    """Make a model from labels and write it with its card.

    Parameters
    ----------
    options : Namespace
        Of ``hoomd-gala finetune``, as :mod:`hoomd_gala.cli` parses them.
    command : str
        The command line, for the card.
    """
    output = check_new(options.output, ".safetensors", "model")
    if not options.gsd:
        raise InputError("--labels are of particles in GSD files; give these with --gsd.")
    source = load_model(options.model)
    labels = read_labels(options.labels, options.gsd)
    names = list(dict.fromkeys(label.name for label in labels))
    systems = labeled_systems(options.labels, options.gsd, labels, names)
    model = few_shot(source, systems, names, options.seed)
    card = model.info.card | {
        "command": command,
        "source": source_card(options.model, source.info),
        "data": {"trajectories": list(options.gsd), "labels": str(options.labels)},
    }
    save_model(output, Model(model.network, replace(model.info, card=card)))
    write_card(output.with_suffix(".json"), output)
    accuracy = card["metrics"]["validation_accuracy"]
    chance = card["baselines"]["most frequent name"]["accuracy"]
    print(
        f"{len(labels)} labelled particles of {len(names)} structures; named by what the others "
        f"teach, {accuracy:.1%} are right (always the most frequent name: {chance:.1%})"
    )
    print(f"wrote {output}, with its card (.json, .md)")

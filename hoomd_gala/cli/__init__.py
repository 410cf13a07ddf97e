"""The command line."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import InputError
from ..threads import wait_passively


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``hoomd-gala``; returns the exit code.

    That is 0, 2 for input that cannot be used, or 130 after Ctrl-C.
    """
    parser = argparse.ArgumentParser(
        prog="hoomd-gala", description="Names the structure around every particle."
    )
    parser.add_argument("--version", action="version", version=f"hoomd-gala {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    label = commands.add_parser(
        "label",
        help="label every particle of a trajectory",
        description="Copies a GSD trajectory with the label, confidence and embedding of every "
        "particle in every frame. Structures become the particle types, which OVITO shows by name "
        "and color; the simulation's own types are kept as well. Interrupted, it keeps the frames "
        "that are done.",
    )
    label.add_argument("input", metavar="IN.gsd", type=Path)
    label.add_argument("output", metavar="OUT.gsd", type=Path, help="must not exist")
    label.add_argument(
        "--model",
        default="structures",
        help="a shipped model's name or a model file (default: %(default)s)",
    )
    label.add_argument(
        "--device", default="auto", help="cpu, cuda or auto: the GPU where there is one (default)"
    )
    label.add_argument(
        "--keep-types", action="store_true", help="leave the particle types as they are"
    )

    view = commands.add_parser(
        "view",
        help="copy a labelled trajectory with structures as particle types",
        description="Copies a labelled GSD trajectory, such as HOOMD's own writer makes, with the "
        "names of the structures as particle types, which OVITO and other viewers list and color. "
        "The particles' own types are kept as well.",
    )
    view.add_argument("input", metavar="OUT.gsd", type=Path, help="labelled trajectory")
    view.add_argument(
        "output",
        metavar="VIEW.gsd",
        type=Path,
        nargs="?",
        help="must not exist (default: OUT-view.gsd)",
    )

    _add_train(commands)
    finetune = _add_finetune(commands)
    _add_plot(commands)
    _add_bench(commands)
    commands.add_parser("models", help="list the shipped models")

    arguments = sys.argv[1:] if arguments is None else arguments
    options = parser.parse_args(arguments)
    wait_passively()
    try:
        if options.command == "label":
            from ..labeling import label_trajectory, print_fractions

            fractions = label_trajectory(
                options.input, options.output, options.model, options.device, options.keep_types
            )
            print_fractions(fractions)
        elif options.command == "view":
            from ..labeling import view_trajectory

            print(view_trajectory(options.input, options.output))
        elif options.command == "finetune" and options.labels:
            from .few_shot import run

            _refuse_training_options(finetune, options)
            run(options, shlex.join(["hoomd-gala", *arguments]))
        elif options.command in ("train", "finetune"):
            from .train import run

            run(options, shlex.join(["hoomd-gala", *arguments]))
        elif options.command == "plot":
            from .plot import plot_curve, plot_embedding

            (plot_curve if options.figure == "curve" else plot_embedding)(options)
        elif options.command == "bench":
            from . import bench

            bench.run(options)
        else:
            _list_models()
    except InputError as error:
        print(f"hoomd-gala: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as interrupt:
        print(f"\nhoomd-gala: interrupted; {interrupt}".rstrip("; "), file=sys.stderr)
        return 130
    return 0


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return number


def _whole(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return number


def _size(text: str) -> float:
    number = float(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is negative or not finite")
    return number


_TRAIN_EXAMPLES = """\
what is written:
  OUT.safetensors  the model, for label, Analyzer and Classifier
  OUT.json, .md    its card: data, seed, command, metrics beside those of simple baselines
  OUT.csv, .png    the learning curve
Interrupt it whenever you like: the same command goes on after the last whole epoch and ends where
an unbroken run would have.

tasks:
  denoising             noise 0.1 on every bond is to be taken away
  autoencoding          bonds pass through an orientation and 8 numbers each
  shift-identification  the particle was displaced by 0.01 to 0.3: by which vector?
  nearest-bond          all bonds but the shortest are given: where is the shortest?
  noisy-bonds           half of the bonds have been moved by noise 0.5: which?
  frame-classification  which frame is the environment from? The one task with classes, which label
                        then writes; after the others it writes embeddings
Lengths are in units of the shortest distance of unit cells, or of the mean bond length of
trajectories.

examples:
  hoomd-gala train --task denoising --output denoising.safetensors
  hoomd-gala train --task frame-classification --output three.safetensors \\
      --cells cF4-Cu hP2-Mg cI2-W --blind --environments 1000
  hoomd-gala train --task frame-classification --output run.safetensors \\
      --gsd run.gsd@10:50:2 other.gsd@-1 --environments 500 --patience 3
"""


_DEFAULT = "(default: %(default)s)"


def _add_train(commands: Any) -> None:
    train = commands.add_parser(
        "train",
        help="train a network on unit cells or your own trajectories",
        description="Trains a network on a self-supervised task. No labels are needed: the data "
        "are environments of unit cells or of the frames of GSD files.",
        epilog=_TRAIN_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_task(train, "what to learn: one of the tasks below", required=True)
    _add_data(train)
    network = train.add_argument_group("network")
    network.add_argument(
        "--width", type=_positive, default=32, help=f"numbers per bond, and embedding {_DEFAULT}"
    )
    network.add_argument(
        "--hidden", type=_positive, default=32, help=f"hidden units of each perceptron {_DEFAULT}"
    )
    network.add_argument("--blocks", type=_positive, default=2, help=f"attention blocks {_DEFAULT}")
    network.add_argument(
        "--untied",
        action="store_true",
        help="update vectors and values in two passes over the pairs of bonds, not in one: about "
        "twice the work",
    )
    _add_training(train)


def _add_task(command: argparse.ArgumentParser, text: str, required: bool) -> None:
    command.add_argument(
        "--task",
        required=required,
        choices=[
            "denoising",
            "autoencoding",
            "shift-identification",
            "nearest-bond",
            "noisy-bonds",
            "frame-classification",
        ],
        metavar="NAME",
        help=text,
    )
    command.add_argument(
        "--output",
        required=True,
        type=Path,
        metavar="OUT.safetensors",
        help="model file to write; must not exist",
    )


def _add_samples(data: Any) -> None:
    data.add_argument(
        "--gsd",
        nargs="+",
        metavar="FILE[@FRAMES]",
        help="trajectories; FRAMES is a Python index or slice: run.gsd@10:50:2",
    )
    data.add_argument(
        "--cells",
        nargs="+",
        metavar="CELL",
        help="unit cells such as cI2-W (default: all 579 of pyriodic-aflow)",
    )
    data.add_argument(
        "--noise",
        nargs="+",
        type=_size,
        metavar="LEVEL",
        help="Gaussian displacements of the unit cells' particles, in units of the shortest "
        "distance (default: 0.01 0.05 0.1)",
    )


def _add_data(command: argparse.ArgumentParser) -> None:
    data = command.add_argument_group("data")
    _add_samples(data)
    data.add_argument(
        "--environments",
        type=_positive,
        default=100,
        metavar="N",
        help="environments of each frame: of each trajectory frame, or of each unit cell at each "
        f"noise level {_DEFAULT}",
    )
    data.add_argument(
        "--limit",
        type=_positive,
        metavar="N",
        help="learn from at most N of these environments, chosen at random; those that are held "
        "out for validation do not count (default: all)",
    )
    data.add_argument("--blind", action="store_true", help="take all particles for the same type")


def _add_training(command: argparse.ArgumentParser) -> Any:
    training = command.add_argument_group("training")
    training.add_argument(
        "--epochs", type=_positive, default=10, help=f"passes over the data {_DEFAULT}"
    )
    training.add_argument(
        "--batch-size", type=_positive, default=64, help=f"environments per step {_DEFAULT}"
    )
    training.add_argument(
        "--learning-rate",
        type=_size,
        default=8e-3,
        help=f"peak of the one-cycle schedule {_DEFAULT}",
    )
    training.add_argument(
        "--patience",
        type=_positive,
        metavar="EPOCHS",
        help="stop when the validation loss has not improved for so many epochs, and keep the best "
        "weights (default: run all epochs and keep the last)",
    )
    training.add_argument("--seed", type=_whole, default=1, help=f"of everything random {_DEFAULT}")
    training.add_argument(
        "--device", default="auto", help="cpu, cuda or auto: the GPU where there is one (default)"
    )
    training.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FILE",
        help="where an interrupted training goes on from; removed at the end "
        "(default: OUT.checkpoint.pt)",
    )
    return training


_FINETUNE_EXAMPLES = """\
examples:
  hoomd-gala finetune denoising --task frame-classification --output few.safetensors \\
      --gsd run.gsd --limit 500 --freeze-core
  hoomd-gala train --task frame-classification --output direct.safetensors \\
      --gsd run.gsd --limit 500                          # the same without what MODEL has learned
  hoomd-gala finetune structures --gsd run.gsd --labels labels.csv --output mine.safetensors
"""


def _add_finetune(commands: Any) -> argparse.ArgumentParser:
    finetune: argparse.ArgumentParser = commands.add_parser(
        "finetune",
        help="go on from what a model has learned",
        description="Trains a network that starts with the core of another model, and with its "
        "pooling layer where both classify; the head is new. With --task it learns one of the "
        "tasks of hoomd-gala train, and writes the same files. With --labels it learns, in "
        "seconds, to name structures after particles that you have labelled, about 20 of each. "
        "Particles unlike all of these are given one of their names as well, so label disordered "
        "ones too.",
        epilog=_FINETUNE_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    finetune.add_argument("model", metavar="MODEL", help="a shipped model's name or a model file")
    _add_task(finetune, "what to learn: see hoomd-gala train --help", required=False)
    finetune.add_argument(
        "--labels",
        type=Path,
        metavar="LABELS.csv",
        help="instead of --task: names of particles in the files of --gsd. The first line is "
        "frame,particle,name, with several files file,frame,particle,name; the others are like "
        "12,345,bcc, counted from 0",
    )
    _add_data(finetune)
    _add_training(finetune).add_argument(
        "--freeze-core",
        action="store_true",
        help="leave what is taken from MODEL as it is, and train the new head only",
    )
    return finetune


#: What there is to choose when names are learned from a few labels.
_FEW_SHOT = {"command", "model", "output", "labels", "gsd", "seed"}


def _refuse_training_options(
    finetune: argparse.ArgumentParser, options: argparse.Namespace
) -> None:
    """Options that a few labels have no use for are not passed over in silence."""
    for name, value in vars(options).items():
        if name not in _FEW_SHOT and value != finetune.get_default(name):
            option = name.replace("_", "-")
            raise InputError(f"--{option} is of no use with --labels; leave one of them out.")


_EMBEDDING_EXAMPLES = """\
examples:
  hoomd-gala plot embedding --model denoising --cells cF4-Cu hP2-Mg cI2-W --output map.png
  hoomd-gala plot embedding --gsd labeled.gsd@-1 --output map.png
  hoomd-gala plot embedding --model structures --gsd run.gsd@::10 --color time --output time.png
"""


def _add_plot(commands: Any) -> None:
    plot = commands.add_parser(
        "plot",
        help="draw embeddings and learning curves",
        description="Draws pictures, PNG files.",
    )
    figures = plot.add_subparsers(dest="figure", required=True, metavar="FIGURE")
    embedding = figures.add_parser(
        "embedding",
        help="map of particles' embeddings",
        description="Draws embeddings in two dimensions, by UMAP where umap-learn is installed and "
        "by their principal components otherwise, and writes the coordinates to a CSV file beside "
        "the picture.",
        epilog=_EMBEDDING_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    embedding.add_argument(
        "--model",
        help="a shipped model's name or a model file; not needed for labelled GSD files, which "
        "hold embeddings",
    )
    embedding.add_argument("--output", required=True, type=Path, metavar="MAP.png")
    _add_samples(embedding)
    embedding.add_argument(
        "--color",
        choices=["structure", "noise", "time"],
        default="structure",
        help="what colors show: the name of the unit cell or of the label, the displacement of the "
        f"unit cell's particles, or the timestep {_DEFAULT}",
    )
    embedding.add_argument(
        "--points",
        type=_positive,
        default=3000,
        metavar="N",
        help=f"particles to draw, about as many of each frame {_DEFAULT}",
    )
    curve = figures.add_parser(
        "curve",
        help="learning curves",
        description="Draws one or several learning curves, as train and finetune write them, into "
        "one picture.",
    )
    curve.add_argument("curves", nargs="+", type=Path, metavar="CURVE.csv")
    curve.add_argument("--output", required=True, type=Path, metavar="CURVE.png")


def _add_bench(commands: Any) -> None:
    bench = commands.add_parser(
        "bench",
        help="how fast this machine labels particles",
        description="Measures the search for neighbors and the whole way from positions to labels "
        "on a hot bcc crystal: medians of several rounds, with ratios to SciPy's k-d tree measured "
        "side by side.",
    )
    bench.add_argument("--model", default="structures", help=f"name or model file {_DEFAULT}")
    bench.add_argument("--device", default="cpu", help=f"cpu, cuda or auto {_DEFAULT}")
    bench.add_argument("--threads", type=_positive, default=1, help=f"cores to use {_DEFAULT}")
    bench.add_argument("--particles", type=_positive, default=8192, metavar="N", help=_DEFAULT)
    bench.add_argument(
        "--output",
        type=Path,
        metavar="SCALING.png",
        help="measure time and memory of several sizes as well; a CSV file is written beside the "
        "picture",
    )
    bench.add_argument(
        "--sizes",
        nargs="+",
        type=_positive,
        default=[1000, 10_000, 100_000, 1_000_000],
        metavar="N",
        help=f"sizes to measure for --output {_DEFAULT}",
    )


def _list_models() -> None:
    from ..files.models import load_model, shipped_models

    for name, path in shipped_models().items():
        info = load_model(path).info
        named = [one for one in info.class_names if one not in info.withheld]
        print(f"{name}: {', '.join(named) or f'embeddings from {info.task}'}")
    if not shipped_models():
        print("no model is shipped; give the path of a model file instead")


if __name__ == "__main__":
    sys.exit(main())

"""Labels for trajectories that exist already."""

import os
from pathlib import Path

import gsd.hoomd
from tqdm.auto import tqdm

from .analyzer import Analyzer
from .errors import InputError
from .trajectories import add_labels, open_trajectory


def label_trajectory(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    model: str | os.PathLike[str] = "structures",
    device: str = "auto",
) -> dict[str, float]:
    """Copy a GSD trajectory with labels in every frame.

    Returns
    -------
    dict
        Fraction of particles of each structure in the last frame.

    Raises
    ------
    InputError
        If the source cannot be read or the target exists, or if a frame cannot be labelled; in the
        last case the frames before it are kept in the target.
    """
    source, target = Path(source), Path(target)
    if target.exists():
        raise InputError(f"{target} exists; remove it or choose another name.")
    if not target.absolute().parent.is_dir():
        raise InputError(f"there is no folder {target.absolute().parent} for {target.name}.")
    analyzer = Analyzer(model, device)
    fractions: dict[str, float] = {}
    part = target.with_name(target.name + ".part")
    with open_trajectory(source) as frames:
        if not len(frames):
            raise InputError(f"{source} has no frames.")
        done = 0
        try:
            with gsd.hoomd.open(part, "w") as labelled:
                for frame in tqdm(frames, desc="label", unit="frame"):
                    result = analyzer.analyze(frame)
                    labelled.append(add_labels(frame, result))
                    fractions = result.fractions
                    done += 1
        except (InputError, RuntimeError, OSError) as error:
            kept = ""
            if done:
                os.replace(part, target)
                kept = f" The {done} frames before it are labelled in {target}."
            raise InputError(f"frame {done} of {source}: {error}{kept}") from None
    os.replace(part, target)
    return fractions


def print_fractions(fractions: dict[str, float]) -> None:
    """Print the structures of a frame, the most frequent first."""
    print("structures in the last frame:")
    for name, share in sorted(fractions.items(), key=lambda item: -item[1]):
        if share > 0:
            print(f"  {name:20} {share:7.1%}")

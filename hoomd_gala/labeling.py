"""Labels for trajectories that exist already, and copies of them to look at."""

import os
from collections.abc import Sequence
from pathlib import Path

import gsd.hoomd
import numpy as np
from tqdm.auto import tqdm

from .analyzer import Analyzer
from .colors import OVITO_TYPE_ORDER, UNKNOWN_NAME
from .errors import InputError
from .files import check_new, replacing
from .trajectories import COLOR, NAMESPACE, add_labels, frame_labels, open_trajectory


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


def view_trajectory(
    source: str | os.PathLike[str], target: str | os.PathLike[str] | None = None
) -> Path:
    """Copy a labelled GSD trajectory with structures as particle types.

    Types are what every viewer of GSD files lists by name and colors. The particles' own types are
    kept as the property ``particle_type``; embeddings are left out.

    Parameters
    ----------
    source : str or path
        Labelled trajectory.
    target : str or path, optional
        File to write; beside the source, with ``-view`` in its name, if not given.

    Returns
    -------
    Path
        The file that was written.

    Raises
    ------
    InputError
        If the source cannot be read or a frame of it has no labels, or if the target exists.
    """
    source = Path(source)
    target = check_new(target or source.with_stem(source.stem + "-view"), ".gsd", "GSD file")
    with open_trajectory(source) as frames:
        if not len(frames):
            raise InputError(f"{source} has no frames.")
        present: dict[str, None] = {}
        for i, frame in enumerate(tqdm(frames, desc="read", unit="frame")):
            labels = frame_labels(frame)
            if labels is None or not labels[1]:
                raise InputError(
                    f"frame {i} of {source} holds no labels; hoomd-gala label gives it some."
                )
            names = [*labels[1], UNKNOWN_NAME]
            present |= dict.fromkeys(names[k] for k in np.unique(labels[0]))
        types = _view_types(list(present))
        with replacing(target) as part, gsd.hoomd.open(part, "w") as copy:
            for frame in tqdm(frames, desc="write", unit="frame"):
                copy.append(_as_view(frame, types))
    return target


def _view_types(present: Sequence[str]) -> list[str]:
    """Types that OVITO colors much as the structures are elsewhere, and what else occurs."""
    return [*OVITO_TYPE_ORDER, *(name for name in present if name not in OVITO_TYPE_ORDER)]


def _as_view(frame: gsd.hoomd.Frame, types: Sequence[str]) -> gsd.hoomd.Frame:
    labels = frame_labels(frame)
    assert labels is not None  # looked for before
    label, names = labels
    # -1 picks the last one
    ids = np.array([types.index(n) if n in types else 0 for n in (*names, UNKNOWN_NAME)], np.uint32)
    frame.log["particles/particle_type"] = frame.particles.typeid
    frame.particles.types = list(types)
    frame.particles.typeid = ids[label]
    # shapes belong to the types that were
    frame.particles.type_shapes = None
    for key in (COLOR, f"particles/{NAMESPACE}/embedding"):
        frame.log.pop(key, None)
    return frame

"""Labels for existing trajectories, and copies of these for viewers."""

import os
from pathlib import Path

import gsd.hoomd
from tqdm.auto import tqdm

from .analyzer import Analyzer
from .errors import InputError
from .files.atomic import check_new, check_writable, replacing
from .files.labels import (
    add_labels,
    frame_labels,
    restore_types,
    structures_as_types,
    types_so_far,
)
from .files.trajectories import open_trajectory
from .schema import EMBEDDING


def label_trajectory(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    model: str | os.PathLike[str] = "structures",
    device: str = "auto",
    keep_types: bool = False,
) -> dict[str, float]:
    """Copy a GSD trajectory with labels in every frame.

    Parameters
    ----------
    source, target : str or path
        Trajectory to read, and file to write.
    model : str or path
        A shipped model's name, or a model file.
    device : str
        Where the network runs; ``"auto"`` is the GPU where there is one.
    keep_types : bool
        Leave the particle types as they are. If not, structures are the types of the copy, which
        is what OVITO shows by name and color, and the simulation's own types become logged
        quantities, which all readers of this package take.

    Returns
    -------
    dict
        Fraction of particles of each structure in the last frame.

    Raises
    ------
    InputError
        If the source cannot be read, the target exists or cannot be written, or if a frame cannot
        be labeled; in the last case the frames before it are kept in the target.
    KeyboardInterrupt
        If interrupted; the message says which frames are kept in the target.
    """
    source, target = Path(source), Path(target)
    check_writable(target)
    analyzer = Analyzer(model, device)
    fractions: dict[str, float] = {}
    types: list[str] = []
    done = 0
    part = target.with_name(target.name + ".part")

    def keep() -> str:
        if not done:
            part.unlink(missing_ok=True)
            return ""
        os.replace(part, target)
        return f" The {done} frames before are labeled in {target}."

    with open_trajectory(source) as frames:
        if not len(frames):
            raise InputError(f"{source} has no frames.")
        try:
            with gsd.hoomd.open(part, "w") as labeled:
                for stored in tqdm(frames, desc="label", unit="frame"):
                    frame = restore_types(stored)
                    try:
                        result = analyzer.analyze(frame)
                    except (InputError, RuntimeError) as error:
                        raise InputError(f"frame {done} of {source}: {error}") from None
                    add_labels(frame, result)
                    if not keep_types and analyzer.class_names:
                        types = types_so_far(types, frame)
                        structures_as_types(frame, types)
                    labeled.append(frame)
                    fractions = result.fractions
                    done += 1
        except InputError as error:
            raise InputError(f"{error}{keep()}") from None
        except OSError as error:
            raise InputError(
                f"frame {done}: {target} cannot be written ({error}).{keep()}"
            ) from None
        except KeyboardInterrupt:
            raise KeyboardInterrupt(keep().strip().replace("The", "the", 1)) from None
    os.replace(part, target)
    return fractions


def view_trajectory(
    source: str | os.PathLike[str], target: str | os.PathLike[str] | None = None
) -> Path:
    """Copy a labeled GSD trajectory with structures as particle types.

    Types are what OVITO and other viewers of GSD files list by name and color. The particles' own
    types are kept as logged quantities; embeddings are left out.

    Parameters
    ----------
    source : str or path
        Labeled trajectory.
    target : str or path, optional
        File to write; beside the source, with ``-view`` in its name, if not given.

    Returns
    -------
    Path
        The file that was written.

    Raises
    ------
    InputError
        If the source cannot be read or a frame of it has no labels, or if the target exists or
        cannot be written.
    """
    source = Path(source)
    target = check_new(target or source.with_stem(source.stem + "-view"), ".gsd", "GSD file")
    with open_trajectory(source) as frames:
        if not len(frames):
            raise InputError(f"{source} has no frames.")
        types: list[str] = []
        for i, frame in enumerate(tqdm(frames, desc="read", unit="frame")):
            labels = frame_labels(frame)
            if labels is None or not labels[1]:
                raise InputError(
                    f"frame {i} of {source} holds no labels; hoomd-gala label adds them."
                )
            if len(labels[0]) != frame.particles.N:
                raise InputError(
                    f"frame {i} of {source} has {frame.particles.N} particles and labels of "
                    f"{len(labels[0])}; write all particles, or label those that are written."
                )
            types = types_so_far(types, frame)
        with replacing(target) as part, gsd.hoomd.open(part, "w") as copy:
            for frame in tqdm(frames, desc="write", unit="frame"):
                frame.log.pop(EMBEDDING, None)
                copy.append(structures_as_types(restore_types(frame), types))
    return target

"""Labels for existing trajectories, and copies of these for viewers."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm.auto import tqdm

from .analyzer import Analyzer
from .clusters import find_clusters
from .errors import InputError
from .files.atomic import check_new, check_writable, replacing
from .files.labels import (
    check_quantities,
    frame_labels,
    of_everyone,
    restore_types,
    structures_as_types,
    types_so_far,
)
from .files.outputs import append_all, check_format, open_gsd, open_output
from .files.sources import (
    Source,
    Stored,
    find_files,
    named_types,
    open_source,
    other_chunks,
    particles_of_types,
)
from .files.trajectories import open_trajectory
from .results import UNKNOWN, Clusters, Result, class_indices, no_clusters
from .schema import EMBEDDING, QUANTITIES
from .selection import fill, frame_centers, over_bodies

_Path = str | os.PathLike[str]


def label_trajectory(
    source: _Path | Sequence[_Path],
    target: _Path,
    model: _Path = "structures",
    device: str = "auto",
    keep_types: bool = False,
    quantities: Sequence[str] = QUANTITIES,
    frames: slice | None = None,
    workers: int = 1,
    topology: _Path | None = None,
    types: Sequence[str] | None = None,
    neighbors: Sequence[str] | None = None,
    clusters: bool | str | Sequence[str] = False,
) -> dict[str, float]:
    """Copy trajectories with labels in every frame.

    Parameters
    ----------
    source : str or path, or sequence of these
        Trajectories to read, one after the other: GSD files, and anything that OVITO, where it is
        installed, or ASE reads. ``"dump.*"`` and the like stand for all files that match, in the
        order of the numbers in their names.
    target : str or path
        File to write: ``.gsd``; ``.xyz`` or ``.extxyz``, extended XYZ; ``.dump`` or
        ``.lammpstrj``, LAMMPS dump, in which labels are numbers only.
    model : str or path
        A shipped model's name, or a model file.
    device : str
        Where the network runs; ``"auto"`` is the GPU where there is one.
    keep_types : bool
        Leave the particle types of a GSD file as they are. If not, structures are the types of the
        copy, which is what OVITO shows by name and color, and the simulation's own types become
        logged quantities, which all readers of this package take.
    quantities : sequence of str
        What to write of each particle: ``"label"`` and, if need be, ``"confidence"`` and
        ``"embedding"``. Of a model without classes embeddings are written in any case.
    frames : slice, optional
        Which of all frames, those of the first source first; all if not given.
    workers : int
        Frames that are labeled at the same time, each by one thread. With 1, all threads work on
        the same frame.
    topology : str or path, optional
        File with the particles of trajectories that hold their positions only, such as XTC.
    types : sequence of str, optional
        Names of types of the particles to label; all of ``neighbors`` if not given. Others
        get label -1 and confidence 0, and fractions are of those labeled.
    neighbors : sequence of str, optional
        Names of types of the particles that count as neighbors, those to label among them; all
        particles if not given, but constituents of rigid bodies, which have their center's label.
    clusters : bool, str or sequence of str
        Names of structures whose clusters are found in every frame, with ``True`` those of anything
        solid. Written is the cluster of each particle, 0 for the largest and -1 for none, as
        :func:`~hoomd_gala.clusters.find_clusters` numbers them; a GSD file has the size of the
        largest and the number of clusters as well, and both are printed.

    Returns
    -------
    dict
        Fraction of particles of each structure in the last frame.

    Raises
    ------
    InputError
        If a source cannot be read, the target exists or cannot be written, or if a frame cannot
        be labeled; in the last case the frames before it are kept in the target.
    KeyboardInterrupt
        If interrupted; the message says which frames are kept in the target.
    """
    target = Path(target)
    check_format(target)
    check_writable(target)
    paths = find_files([source] if isinstance(source, str | os.PathLike) else source)
    analyzer = Analyzer(model, device)
    check_quantities(quantities, analyzer.class_names)
    structure = None if isinstance(clusters, bool) else clusters
    if clusters is not False:
        if not analyzer.class_names:
            raise InputError(f"the model {model} names no structures that could form clusters.")
        class_indices(analyzer.class_names, structure)
    fractions: dict[str, float] = {}
    done = particles = 0
    part = target.with_name(target.name + ".part")

    def keep() -> str:
        if not done:
            part.unlink(missing_ok=True)
            return ""
        os.replace(part, target)
        before = "frame before is" if done == 1 else f"{done} frames before are"
        return f" The {before} labeled in {target}."

    with ExitStack() as opened:
        sources = [opened.enter_context(open_source(path, topology)) for path in paths]
        chosen = _chosen_frames(sources, frames)
        _check_types(chosen, [*(types or ()), *(neighbors or ())])
        label = partial(_label, analyzer, types, neighbors, clusters)
        try:
            with (
                open_output(part, target, quantities, keep_types) as write,
                _in_order(label, chosen, workers) as labeled,
            ):
                for one in tqdm(labeled, total=len(chosen), desc="label", unit="frame"):
                    with _blamed(one.frame):
                        write(one.stored, one.result, one.particles, one.clusters, done)
                    if one.clusters is not None:
                        number, largest = len(one.clusters.sizes), one.clusters.largest
                        tqdm.write(
                            f"frame {one.frame.number} of {one.frame.source.path}: clusters: "
                            f"{number}, particles in the largest: {largest}"
                        )
                    fractions = one.result.fractions
                    done += 1
                    particles += len(one.result.label)
                if not particles:
                    done = 0  # nothing of these is worth keeping
                    raise InputError("there are no particles in any frame that could be labeled.")
        except InputError as error:
            raise InputError(f"{error}{keep()}") from None
        except BrokenPipeError:  # of what is printed
            keep()
            raise
        except OSError as error:
            raise InputError(
                f"frame {done}: {target} cannot be written ({error}).{keep()}"
            ) from None
        except KeyboardInterrupt:
            raise KeyboardInterrupt(keep().strip().replace("The", "the", 1)) from None
        except BaseException:
            keep()
            raise
    os.replace(part, target)
    return fractions


class _Frame(NamedTuple):
    """A frame of a file that is open."""

    source: Source
    number: int


class _Labeled(NamedTuple):
    """A frame with the labels of some of its particles, or of all."""

    frame: _Frame
    stored: Stored
    result: Result
    particles: NDArray[np.int64] | None
    clusters: Clusters | None


def _chosen_frames(sources: Sequence[Source], frames: slice | None) -> list[_Frame]:
    for source in sources:
        if not source.total:
            raise InputError(f"{source.path} has no frames.")
    everything = [_Frame(source, index) for source in sources for index in range(source.total)]
    chosen = everything if frames is None else everything[frames]
    if not chosen:
        raise InputError(f"there are {len(everything)} frames, and none in the requested range.")
    return chosen


def _check_types(frames: Iterable[_Frame], wanted: Sequence[str]) -> None:
    """Refuse names of types that no frame has; mostly the first one has all of them."""
    missing, known = dict.fromkeys(wanted), dict[str, None]()
    for frame in frames:
        if not missing:
            return
        names, _ = named_types(_read(frame)[1].data)
        known |= dict.fromkeys(names)
        missing = {name: None for name in missing if name not in known}
    if missing:
        raise InputError(
            f"there is no type {next(iter(missing))!r} of particles, only {', '.join(known)}."
        )


@contextmanager
def _blamed(frame: _Frame) -> Iterator[None]:
    """Say of an error with which frame it came."""
    try:
        yield
    except (InputError, RuntimeError) as error:
        raise InputError(f"frame {frame.number} of {frame.source.path}: {error}") from None


def _read(frame: _Frame) -> tuple[_Frame, Stored]:
    with _blamed(frame):
        return frame, frame.source.read(frame.number)


def _label(
    analyzer: Analyzer,
    types: Sequence[str] | None,
    neighbors: Sequence[str] | None,
    clusters: bool | str | Sequence[str],
    read: tuple[_Frame, Stored],
) -> _Labeled:
    frame, stored = read
    types = neighbors if types is None else types
    with _blamed(frame):
        some = {
            name: particles_of_types(stored.data, names)
            for name, names in (("particles", types), ("neighbors", neighbors))
            if names is not None
        }
        if not stored.n_particles or any(not len(chosen) for chosen in some.values()):
            # types may come and go
            found = None if clusters is False else no_clusters(stored.n_particles)
            return _Labeled(frame, stored, analyzer.unknown(0), np.zeros(0, np.int64), found)
        result = analyzer.analyze(stored.data, **some)
        particles, centers = some.get("particles"), frame_centers(stored.data)
        found = None
        if clusters is not False:
            found = find_clusters(
                stored.data,
                fill(result.label, particles, stored.n_particles, UNKNOWN),
                result.class_names,
                None if isinstance(clusters, bool) else clusters,
                workers=torch.get_num_threads(),
                neighbors=some.get("neighbors"),
            )
        if particles is not None and centers is not None:
            result = of_everyone(result, particles, centers)
            if found is not None:
                found = found._replace(ids=over_bodies(found.ids, particles, centers))
            particles = None
        return _Labeled(frame, stored, result, particles, found)


@contextmanager
def _in_order(
    label: Callable[[tuple[_Frame, Stored]], _Labeled], frames: Sequence[_Frame], workers: int
) -> Iterator[Iterator[_Labeled]]:
    """Read and label frames, several at the same time, and give them in their order.

    Files are read by the calling thread, and at most two frames more than there are workers are
    in memory. Threads are as fast as processes would be, since what takes time leaves Python, and
    need neither a model nor compiled kernels of their own.
    """
    if workers == 1:
        yield (label(_read(frame)) for frame in frames)
        return
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(workers, "label", initializer=lambda: torch.set_num_threads(1))
    try:
        yield _ahead(pool, label, iter(frames), workers)
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)


def _ahead(
    pool: ThreadPoolExecutor,
    label: Callable[[tuple[_Frame, Stored]], _Labeled],
    frames: Iterator[_Frame],
    workers: int,
) -> Iterator[_Labeled]:
    # kernels are compiled and compared on first use, which is enough once
    yield label(_read(next(frames)))
    waiting: deque[Future[_Labeled]] = deque()
    for frame in frames:
        try:
            waiting.append(pool.submit(label, _read(frame)))
        except InputError as error:  # its turn comes after the frames before it
            waiting.append(Future())
            waiting[-1].set_exception(error)
        if len(waiting) > workers:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


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
        first = Stored(frames[0], {})
        with replacing(target) as part, open_gsd(part, first) as copy:
            for i, frame in enumerate(tqdm(frames, desc="write", unit="frame")):
                frame.log.pop(EMBEDDING, None)
                shown = structures_as_types(restore_types(frame), types)
                append_all(copy, shown, other_chunks(frames, i))
    return target

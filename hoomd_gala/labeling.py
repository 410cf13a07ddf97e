"""Labels for existing trajectories, and copies of these for viewers.

torch is imported when particles are labeled, after everything that needs no model has been checked.
"""

import os
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from . import __version__
from .clusters import find_clusters
from .copying import Frame, blamed, chosen_frames, counted, gone_on_with, kept, read_frame
from .errors import InputError, NoEnvironmentsError
from .files.atomic import check_free, check_new, sha256
from .files.labels import (
    check_quantities,
    frame_labels,
    of_everyone,
    restore_types,
    structures_as_types,
    types_so_far,
)
from .files.outputs import Output, append_all, check_format, open_gsd, open_output
from .files.resuming import Copy, Line, checksum, making, making_whole
from .files.shipped import AUTO, auto_model, find_model, said_of_auto
from .files.sources import (
    Stored,
    find_files,
    is_open,
    named_types,
    open_source,
    other_chunks,
    particles_of_types,
)
from .files.trajectories import open_trajectory
from .results import UNKNOWN, Clusters, Fractions, Result, class_indices, no_clusters
from .schema import EMBEDDING, QUANTITIES
from .selection import bodies_once, fill, frame_centers, over_bodies

if TYPE_CHECKING:
    from .analyzer import Analyzer

_Path = str | os.PathLike[str]


class Labeling(Fractions):
    """Fractions in the last frame of files that were labeled, and what else there is to say of it.

    Attributes
    ----------
    source : Path
        File that the frame is from.
    types : tuple of str
        Names of the types that its particles have; empty where an earlier call has labeled it.
    is_open : bool
        Whether it has no periodic boundaries at all, as far as this call has seen it.
    """

    source: Path
    types: tuple[str, ...] = ()
    is_open: bool = False


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
    restart: bool = False,
    denoise_steps: int = 0,
) -> Labeling:
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
        A shipped model's name, or a model file. With ``"auto"`` the first frame decides:
        ``"compounds"`` if those of its particles that may be neighbors are of several types,
        ``"structures"`` otherwise, which is said on the standard error.
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
    restart : bool
        Begin at the first frame where an earlier call was stopped. If not, what it has left in
        ``target`` with ``.part`` at its end is gone on with: the same call labels the frames that
        are not there yet. That begins anew, and says so, where the settings are others or the
        frames are not what they were.
    denoise_steps : int
        Steps of the shipped model ``denoise``, before particles whose label is not certain are
        labeled again, as :class:`~hoomd_gala.Analyzer` does; positions in the target are those of
        the source.

    Returns
    -------
    Labeling
        Fraction of particles of each structure in the last frame, by name.

    Raises
    ------
    InputError
        If a source cannot be read, the target exists, cannot be written or is made by another
        process, or if a frame is damaged; in the last case the frames before it are kept in the
        target. What cannot be written any more, to a full disk, is gone on with by the same call.
    KeyboardInterrupt
        If interrupted; the same call goes on.

    Warns
    -----
    UserWarning
        If some of the frames have no environments, of which all particles are unknown: two
        dimensions, or too few particles without periodic boundaries.
    """
    target = Path(target)
    check_format(target)
    check_free(target)
    check_quantities(quantities, has_classes=False)
    if model != AUTO:
        find_model(model)
    paths = find_files(source, target)
    with ExitStack() as opened:
        sources = [opened.enter_context(open_source(path, topology)) for path in paths]
        chosen = chosen_frames(sources, frames)
        _check_types(chosen, [*(types or ()), *(neighbors or ())])

        if model == AUTO:
            model = _model_of(chosen[0], neighbors)
            tqdm.write(said_of_auto(model), file=sys.stderr)

        from .analyzer import Analyzer
        from .files.models import pick_device

        settings = {
            "version": __version__,
            "model": sha256(find_model(model)),
            "device": str(pick_device(device)),
            "quantities": [quantities] if isinstance(quantities, str) else list(quantities),
            "keep_types": keep_types,
            "types": None if types is None else list(types),
            "neighbors": None if neighbors is None else list(neighbors),
            "clusters": clusters if isinstance(clusters, bool | str) else list(clusters),
            "denoise_steps": denoise_steps,
        }
        copy = opened.enter_context(making(target, settings, restart))
        analyzer = Analyzer(model, device, denoise_steps=denoise_steps)
        if not analyzer.class_names:
            # better known now than after hours
            said = f"the model {model} names no structures: particles get embeddings alone"
            tqdm.write(said, file=sys.stderr)
        structure = None if isinstance(clusters, bool) else clusters
        if clusters is not False:
            if not analyzer.class_names:
                raise InputError(f"the model {model} names no structures that could form clusters.")
            class_indices(analyzer.class_names, structure)
        starts = [line.start for line in gone_on_with(copy, chosen)]
        with kept(copy, target, "labeled"):
            label = partial(_label, analyzer, types, neighbors, clusters)
            with open_output(copy.part, target, quantities, keep_types, starts) as output:
                return _copy_labeled(copy, output, label, chosen, workers, analyzer.class_names)


def _copy_labeled(
    copy: Copy,
    output: Output,
    label: Callable[[tuple[Frame, Stored]], "_Labeled"],
    chosen: Sequence[Frame],
    workers: int,
    class_names: tuple[str, ...],
) -> Labeling:
    """Label frames and write them, and say what the last one is."""
    lines = copy.begin(output.done)
    # of an earlier call, where this one has nothing to label
    found = Labeling()
    if output.fractions is not None:
        found = Labeling.from_array(class_names, output.fractions)
    last: _Labeled | None = None
    if lines:
        tqdm.write(f"going on after {counted(len(lines))} in {copy.part}", file=sys.stderr)
    bar = {"total": len(chosen), "initial": len(lines), "desc": "label", "unit": "frame"}
    with _in_order(label, chosen[len(lines) :], workers) as labeled:
        for one in tqdm(labeled, **bar):
            last = one
            total = 0 if one.refused else len(one.result.label)
            lines.append(Line(checksum(one.stored), output.size, total, one.refused))
            copy.note(lines[-1])
            # before structures take their place
            names, types = named_types(one.stored.data)
            with blamed(one.frame):
                output.write(one.stored, one.result, one.particles, one.clusters, output.done)
            copy.written = output.done
            if one.clusters is not None:
                number, largest = len(one.clusters.sizes), one.clusters.largest
                tqdm.write(
                    f"frame {one.frame.number} of {one.frame.source.path}: clusters: "
                    f"{number}, particles in the largest: {largest}"
                )
    _say_of_refused(copy, chosen, lines)
    if last is None:
        found.source = chosen[-1].source.path
        return found
    found = Labeling(last.result.fractions)
    found.source = last.frame.source.path
    found.types = tuple(names[k] for k in np.unique(types))
    found.is_open = is_open(last.stored.data)
    return found


def _say_of_refused(copy: Copy, chosen: Sequence[Frame], lines: Sequence[Line]) -> None:
    """Warn of frames that could not be labeled; if there are no others, that is an error."""
    refused = [k for k, line in enumerate(lines) if line.refused]
    why = ""
    if refused:
        frame = chosen[refused[0]]
        why = f"frame {frame.number} of {frame.source.path}: {lines[refused[0]].refused}"
    if not any(line.labeled for line in lines):
        copy.written = 0  # nothing of these is worth keeping
        raise InputError(why or "there are no particles in any frame that could be labeled.")
    if refused:
        warnings.warn(
            f"{counted(len(refused))} of {len(lines)} cannot be labeled; all particles are unknown "
            f"there. {'The first is ' if len(refused) > 1 else ''}{why}",
            stacklevel=4,
        )


class _Labeled(NamedTuple):
    """A frame with the labels of some of its particles, or of all."""

    frame: Frame
    stored: Stored
    result: Result
    particles: NDArray[np.int64] | None
    clusters: Clusters | None
    #: Why there are no labels.
    refused: str | None = None


def _check_types(frames: Iterable[Frame], wanted: Sequence[str]) -> None:
    """Refuse names of types that no frame has; mostly the first one has all of them."""
    missing, known = dict.fromkeys(wanted), dict[str, None]()
    for frame in frames:
        if not missing:
            return
        names, _ = named_types(read_frame(frame)[1].data)
        known |= dict.fromkeys(names)
        missing = {name: None for name in missing if name not in known}
    if missing:
        raise InputError(
            f"there is no type {next(iter(missing))!r} of particles, only {', '.join(known)}."
        )


def _model_of(frame: Frame, neighbors: Sequence[str] | None) -> str:
    """Name of the model for those particles of a frame that may be neighbors."""
    data = read_frame(frame)[1].data
    _, types = named_types(data)
    if neighbors is None:
        around = bodies_once(frame_centers(data))
    else:
        around = particles_of_types(data, neighbors)
    return auto_model(types if around is None else types[around])


def _label(
    analyzer: "Analyzer",
    types: Sequence[str] | None,
    neighbors: Sequence[str] | None,
    clusters: bool | str | Sequence[str],
    read: tuple[Frame, Stored],
) -> _Labeled:
    frame, stored = read
    types = neighbors if types is None else types
    with blamed(frame):
        some = {
            name: particles_of_types(stored.data, names)
            for name, names in (("particles", types), ("neighbors", neighbors))
            if names is not None
        }
        found = None if clusters is False else no_clusters(stored.n_particles)
        if not stored.n_particles or any(not len(chosen) for chosen in some.values()):
            # types may come and go
            return _Labeled(frame, stored, analyzer.unknown(0), np.zeros(0, np.int64), found)
        particles = some.get("particles")
        try:
            result = analyzer.analyze(stored.data, **some)
        except NoEnvironmentsError as error:
            count = stored.n_particles if particles is None else len(particles)
            return _Labeled(frame, stored, analyzer.unknown(count), particles, found, str(error))
        centers = frame_centers(stored.data)
        if clusters is not False:
            found = find_clusters(
                stored.data,
                fill(result.label, particles, stored.n_particles, UNKNOWN),
                result.class_names,
                None if isinstance(clusters, bool) else clusters,
                workers=_threads(),
                neighbors=some.get("neighbors"),
            )
        if particles is not None and centers is not None:
            result = of_everyone(result, particles, centers)
            if found is not None:
                found = found._replace(ids=over_bodies(found.ids, particles, centers))
            particles = None
        return _Labeled(frame, stored, result, particles, found)


def _threads() -> int:
    import torch

    return torch.get_num_threads()


@contextmanager
def _in_order(
    label: Callable[[tuple[Frame, Stored]], _Labeled], frames: Sequence[Frame], workers: int
) -> Iterator[Iterator[_Labeled]]:
    """Read and label frames, several at the same time, and give them in their order.

    Files are read by the calling thread, and at most two frames more than there are workers are
    in memory. Threads are as fast as processes would be, since what takes time leaves Python, and
    need neither a model nor compiled kernels of their own.
    """
    if workers == 1 or not frames:
        yield (label(read_frame(frame)) for frame in frames)
        return
    import torch

    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(workers, "label", initializer=lambda: torch.set_num_threads(1))
    try:
        yield _ahead(pool, label, iter(frames), workers)
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)


def _ahead(
    pool: ThreadPoolExecutor,
    label: Callable[[tuple[Frame, Stored]], _Labeled],
    frames: Iterator[Frame],
    workers: int,
) -> Iterator[_Labeled]:
    # kernels are compiled and compared on first use, which is enough once
    yield label(read_frame(next(frames)))
    waiting: deque[Future[_Labeled]] = deque()
    for frame in frames:
        try:
            waiting.append(pool.submit(label, read_frame(frame)))
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
        If the source cannot be read or a frame of it has no labels, or if the target exists, cannot
        be written or is made by another process.
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
        with making_whole(target) as part, open_gsd(part, first) as copy:
            for i, frame in enumerate(tqdm(frames, desc="write", unit="frame")):
                frame.log.pop(EMBEDDING, None)
                shown = structures_as_types(restore_types(frame), types)
                append_all(copy, shown, other_chunks(frames, i))
    return target

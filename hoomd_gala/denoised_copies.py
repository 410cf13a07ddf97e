"""Copies of trajectories without thermal displacements.

torch is imported when particles are moved, after everything that needs no model has been checked.
"""

import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from . import __version__
from .copying import Frame, blamed, chosen_frames, counted, gone_on_with, kept, read_frame
from .errors import NoEnvironmentsError
from .files.atomic import check_free, sha256
from .files.conversion import with_positions
from .files.outputs import Output, check_format, open_output
from .files.resuming import Copy, Line, checksum, making
from .files.shipped import DENOISE, DENOISE_STEPS, find_model
from .files.sources import Stored, find_files, open_source
from .neighbors import PeriodicTree, vacuum_box
from .systems import as_system
from .systems_from import held_sample

if TYPE_CHECKING:
    from .analyzer import Analyzer

_Path = str | os.PathLike[str]


def denoise_trajectory(
    source: _Path | Sequence[_Path],
    target: _Path,
    model: _Path = DENOISE,
    device: str = "auto",
    steps: int = DENOISE_STEPS,
    frames: slice | None = None,
    topology: _Path | None = None,
    restart: bool = False,
) -> float:
    """Copy trajectories without thermal displacements in any frame; all else stays as it is.

    Parameters
    ----------
    source, target, device, frames, topology, restart
        As :func:`~hoomd_gala.labeling.label_trajectory` takes them.
    model : str or path
        A model of the task ``denoising``: a shipped one's name, or a file.
    steps : int
        Steps of denoising, see :meth:`~hoomd_gala.Analyzer.denoise`.

    Returns
    -------
    float
        Displacement in each direction that was taken out of the last frame, root mean square, in
        units of the shortest distance; NaN if nothing was.

    Raises
    ------
    InputError, KeyboardInterrupt
        As :func:`~hoomd_gala.labeling.label_trajectory` does.

    Warns
    -----
    UserWarning
        If some of the frames have no environments, which are copied as they are: two dimensions, or
        too few particles without periodic boundaries.
    """
    target = Path(target)
    check_format(target)
    check_free(target)
    file = find_model(model)
    paths = find_files(source, target)
    with ExitStack() as opened:
        sources = [opened.enter_context(open_source(path, topology)) for path in paths]
        chosen = chosen_frames(sources, frames)

        from .analyzer import Analyzer
        from .denoising import denoiser
        from .files.models import pick_device

        settings = {
            "version": __version__,
            "model": sha256(file),
            "device": str(pick_device(device)),
            "steps": steps,
        }
        copy = opened.enter_context(making(target, settings, restart))
        analyzer = Analyzer(model, device)
        denoiser(analyzer.model)
        starts = [line.start for line in gone_on_with(copy, chosen)]
        with kept(copy, target, "denoised"), open_output(copy.part, target, starts=starts) as out:
            return _copy_denoised(copy, out, analyzer, steps, chosen)


def _copy_denoised(
    copy: Copy, output: Output, analyzer: "Analyzer", steps: int, chosen: Sequence[Frame]
) -> float:
    """Denoise frames and write them, and return what was taken out of the last one."""
    lines = copy.begin(output.done)
    if lines:
        tqdm.write(f"going on after {counted(len(lines))} in {copy.part}", file=sys.stderr)
    last: tuple[Stored, NDArray[np.float64]] | None = None
    bar = {"total": len(chosen), "initial": len(lines), "desc": "denoise", "unit": "frame"}
    for frame in tqdm(chosen[len(lines) :], **bar):
        _, stored = read_frame(frame)
        with blamed(frame):
            positions, why = _denoised(stored, analyzer, steps)
            made = stored if positions is None else with_positions(stored, positions)
            lines.append(Line(checksum(stored), output.size, 0 if why else stored.n_particles, why))
            copy.note(lines[-1])
            output.write(made, None, None, None, output.done)
        copy.written = output.done
        last = None if positions is None else (stored, positions)
    _say_of_refused(chosen, lines)
    return np.nan if last is None else _level(*last)


def _denoised(
    stored: Stored, analyzer: "Analyzer", steps: int
) -> tuple[NDArray[np.float64] | None, str | None]:
    """Return positions (N, 3) without displacements, or why there are none."""
    try:
        return analyzer.denoise(stored.data, steps=steps), None
    except NoEnvironmentsError as error:
        return None, str(error)


def _level(stored: Stored, positions: NDArray[np.float64]) -> float:
    """Root mean square in each direction of what was taken out, over the shortest distance."""
    held = held_sample(stored.data)
    if held is None:
        before = np.asarray(stored.data.particles.position, np.float64)
    else:
        before = held.positions
    system = as_system(with_positions(stored, positions).data)
    shortest = PeriodicTree.build(system.positions, vacuum_box(system)).shortest_distance()
    return float(np.sqrt(((positions - before) ** 2).mean()) / shortest)


def _say_of_refused(chosen: Sequence[Frame], lines: Sequence[Line]) -> None:
    """Warn of frames that are as they were."""
    refused = [k for k, line in enumerate(lines) if line.refused]
    if not refused:
        return
    frame = chosen[refused[0]]
    warnings.warn(
        f"{counted(len(refused))} of {len(lines)} cannot be denoised, and are as they were. "
        f"{'The first is ' if len(refused) > 1 else ''}frame {frame.number} of "
        f"{frame.source.path}: {lines[refused[0]].refused}",
        stacklevel=4,
    )

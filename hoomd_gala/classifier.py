"""The HOOMD-blue plugin: an action that labels the particles of a running simulation."""

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

try:
    import hoomd
except ImportError as error:
    raise ImportError(
        "hoomd_gala.Classifier needs HOOMD-blue, which is on conda-forge and not on the Python "
        "package index: conda install -c conda-forge hoomd (environment.yml has everything). "
        "Analyzer, the command line and hoomd_gala.openmm work without it."
    ) from error

from .analyzer import Analyzer, Result
from .systems import System, make_system
from .trajectories import add_labels, append_frame, encode_strings, make_frame


class Classifier(hoomd.custom.Action):  # type: ignore[misc]
    """Labels the structure around every particle of a simulation.

    Attach it as the action of a :class:`hoomd.write.CustomWriter` to write labelled frames to its
    own file, or add it to a :class:`hoomd.logging.Logger` and let :class:`hoomd.write.GSD` write
    the labels beside the particles. Labels are computed when they are asked for, once per
    timestep; steps that nobody looks at cost nothing.

    Parameters
    ----------
    model : str or path
        A shipped model's name, or a model file.
    filename : str or path, optional
        GSD file that :meth:`act` appends labelled frames to; none is written if not given.
    device : str or torch.device
        Where the network runs; ``"auto"`` is the GPU where there is one.

    Examples
    --------
    >>> classifier = hoomd_gala.Classifier(model="structures", filename="labeled.gsd")
    >>> writer = hoomd.write.CustomWriter(action=classifier, trigger=1_000)
    >>> simulation.operations.writers.append(writer)
    """

    # HOOMD logs, and pickle stores, a class under its module: the name that users know it by
    __module__ = "hoomd_gala"

    def __init__(
        self,
        model: str | os.PathLike[str] = "structures",
        filename: str | os.PathLike[str] | None = None,
        device: str = "auto",
    ) -> None:
        super().__init__()
        self.analyzer = Analyzer(model, device)
        self.filename = filename
        self._simulation: Any = None
        self._latest: tuple[int, Result] | None = None

    def attach(self, simulation: Any) -> None:
        """Called by HOOMD when the operation joins a simulation."""
        if simulation.device.communicator.num_ranks > 1:
            raise RuntimeError(
                "hoomd_gala.Classifier runs on one rank; this simulation is decomposed over "
                f"{simulation.device.communicator.num_ranks}."
            )
        super().attach(simulation)
        self._simulation = simulation
        self._latest = None

    def detach(self) -> None:
        """Called by HOOMD when the operation leaves a simulation."""
        super().detach()
        self._simulation = None
        self._latest = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_state": None, "_simulation": None, "_latest": None}

    def act(self, timestep: int) -> None:
        """Append a labelled frame to the file, if there is one."""
        if self.filename is not None:
            frame = make_frame(self._system(), timestep, self._state.particle_types)
            append_frame(self.filename, add_labels(frame, self.result))

    def _system(self) -> System:
        """The simulation's particles in the order of their tags."""
        box = self._state.box
        with self._state.cpu_local_snapshot as snapshot:
            order = np.argsort(snapshot.particles.tag)
            positions = np.asarray(snapshot.particles.position)[order]
            types = np.asarray(snapshot.particles.typeid)[order]
        return make_system(positions, [box.Lx, box.Ly, box.Lz, box.xy, box.xz, box.yz], types)

    @property
    def result(self) -> Result:
        """:class:`hoomd_gala.Result` of the current timestep, particles in the order of tags."""
        if self._simulation is None:
            raise hoomd.error.DataAccessError("result")
        timestep = self._simulation.timestep
        if self._latest is None or self._latest[0] != timestep:
            self._latest = timestep, self.analyzer.analyze_system(self._system())
        return self._latest[1]

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes that labels index."""
        return self.analyzer.class_names

    @hoomd.logging.log(category="particle", requires_run=True)
    def label(self) -> NDArray[np.int32]:
        """(*N*, ) int32: index into :attr:`class_names` by particle tag, -1 where unknown."""
        return self.result.label

    @hoomd.logging.log(category="particle", requires_run=True)
    def confidence(self) -> NDArray[np.float32]:
        """(*N*, ) float32: calibrated probability of the label."""
        return self.result.confidence

    @hoomd.logging.log(category="particle", requires_run=True)
    def embedding(self) -> NDArray[np.float32]:
        """(*N*, *D*) float32: the network's summary of each environment."""
        return self.result.embedding

    @hoomd.logging.log(category="sequence", requires_run=True)
    def fractions(self) -> NDArray[np.float64]:
        """(*C* + 1, ) float64: fraction of particles of each class, the unknown last."""
        return self.result.counts

    @hoomd.logging.log(category="sequence")
    def names(self) -> NDArray[np.int8]:
        """(*C*, *width*) int8: the class names as GSD holds strings, for the files' readers."""
        return encode_strings(self.class_names)

"""What a study's file may hold: the tables, their keys, and the bounds of every value.

Bounds are far beyond what makes sense, and keep out what would never end or fit into memory. All of
this is of single values and tables; :mod:`study.flow.studies` puts the tables together.
"""

import math
from typing import Annotated, Any

from msgspec import Meta, Struct

from hoomd_gala.files.fields import fill
from hoomd_gala.learning.config import TASK_NAMES

# ---- values ----

Name = Annotated[str, Meta(pattern=r"^[^\x00-\x1f]{1,200}$")]
Count = Annotated[int, Meta(ge=1, le=10**7)]
Number = Annotated[int, Meta(ge=0, le=10**7)]
Size = Annotated[int, Meta(ge=1, le=4096)]
Steps = Annotated[int, Meta(ge=0, le=10**12)]
Period = Annotated[int, Meta(ge=1, le=10**12)]
Seed = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Length = Annotated[float, Meta(gt=0, le=1e4)]
Density = Annotated[float, Meta(ge=1e-6, le=1e3)]
Energy = Annotated[float, Meta(ge=1e-9, le=1e6)]
Timestep = Annotated[float, Meta(ge=1e-9, le=1e3)]
Rate = Annotated[float, Meta(ge=0, le=1e6)]
Level = Annotated[float, Meta(ge=0, le=1)]
Real = Annotated[float, Meta(ge=-1e6, le=1e6)]
Names = Annotated[list[Name], Meta(min_length=1)]
#: A table whose keys add to those of others.
_Part = dict[str, Any]

#: Start, end and step of a range.
Range = tuple[Real, Real, Annotated[float, Meta(ge=1e-6, le=1e6)]]

#: Values of the parameters of functions that make systems, where these have such a name. Others are
#: checked for the type that the function declares.
PARAMETERS: dict[str, Any] = {
    "n_particles": Count,
    "n_frames": Count,
    "n_grains": Count,
    "n_neighbors": Count,
    "beads": Count,
    "side": Size,
    "size": Size,
    "thickness": Size,
    "depth": Size,
    "seed": Seed,
    "steps": Steps,
    "dt": Timestep,
    "edge": Length,
    "number_density": Density,
    "levels": Annotated[list[Level], Meta(min_length=1)],
    "shares": Annotated[list[Level], Meta(min_length=1)],
    "temperatures": Annotated[list[Rate], Meta(min_length=1)],
    "stages": Annotated[list[tuple[Rate, Steps]], Meta(min_length=1)],
    "melting": tuple[Rate, Steps],
    "run": tuple[Rate, Steps],
    "composition": Annotated[list[Level], Meta(min_length=1)],
    "structures": Names,
}

_LONGEST_RANGE = 10_000


class _Table(Struct, forbid_unknown_fields=True):
    """A table of a study's file, all of whose keys are known."""


# ---- jobs, by kind ----


class Opp(_Table):
    """Parameters of the oscillating pair potential."""

    k: Annotated[float, Meta(ge=0.1, le=1e3)]
    phi: Annotated[float, Meta(ge=-1e3, le=1e3)]


class Ljg(_Table):
    """Parameters of the Lennard-Jones–Gauss potential."""

    epsilon: Annotated[float, Meta(ge=-1e3, le=1e3)]
    r0: Annotated[float, Meta(ge=0, le=1e2)]


#: Parameters of pair potentials.
POTENTIALS: dict[Any, type[_Table]] = {"opp": Opp, "ljg": Ljg}


class Cooled(_Table):
    """A cooling run without its potential; see :class:`study.simulation.protocol.Protocol`."""

    n_particles: Count
    number_density: Density
    gas_kT: Energy
    gas_steps: Steps
    start_kT: Energy
    end_kT: Energy
    cooling_steps: Period
    dt: Timestep
    gamma: Rate
    period: Period
    seed: Seed

    def __post_init__(self) -> None:
        total = self.gas_steps + self.cooling_steps
        if self.period > total:
            raise ValueError(f"no frame is written with a period of {self.period} in {total} steps")


class System(Cooled):
    """A system that is labeled while it is cooled."""

    trajectory_epochs: Number = 0


class Fluid(Cooled):
    """A disordered system."""

    role: Name = ""


class Assembly(Cooled):
    """A system whose solid is identified."""

    name: Name = ""
    trajectory_epochs: Number = 0


class Liquid(Cooled):
    """A liquid above freezing."""

    structure: Name


class StructureModel(_Table):
    """The network that names structures."""

    structures: Names
    noise_levels: Annotated[list[Level], Meta(min_length=1)]
    strain: Level
    n_environments: Count
    n_disordered: Number
    epochs: Count
    width: Size
    hidden: Size
    blocks: Size
    seed: Seed


class Reference(_Table):
    """Unit cells that solids are compared with, and a grid of potentials for these."""

    cells: Names | None = None
    k: Range | None = None
    phi: Range | None = None
    epsilon: Annotated[list[Real], Meta(min_length=1)] | None = None
    r0: Range | None = None

    def __post_init__(self) -> None:
        grid = (self.k, self.phi, self.epsilon, self.r0)
        if any(grid) and None in grid:
            raise ValueError("a grid of potentials takes k, phi, epsilon and r0")
        for found in (self.k, self.phi, self.r0):
            if found is not None and not 0 < (found[1] - found[0]) / found[2] < _LONGEST_RANGE:
                raise ValueError(f"{list(found)} are not start, end and step of a range")


class LiquidComparison(_Table):
    """How well liquids are distinguished."""

    model: Name
    n_runs: Annotated[int, Meta(ge=1, le=1000)]
    n_frames: Count
    n_particles: Count
    seed: Seed


class EmbeddingMap(_Table):
    """Embeddings of simulated solids."""

    model: Name
    n_bulk: Count
    n_surface: Count
    seed: Seed


class Unseen(_Table):
    """Phases of an assembly by the network of another one."""

    learned: Name
    trajectory: Name


class Grains(_Table):
    """Orientations in polycrystals."""

    model: Name
    cells: Names
    noise_levels: Annotated[list[Level], Meta(min_length=1)]
    n_grains: Annotated[int, Meta(ge=1, le=1000)]
    edge: Annotated[float, Meta(ge=1, le=1000)]
    around: Count
    drawn: Names
    drawn_noise: Level
    seed: Seed

    def __post_init__(self) -> None:
        if not set(self.drawn) <= set(self.cells) or self.drawn_noise not in self.noise_levels:
            raise ValueError(
                f"grains of {', '.join(self.drawn)} at noise {self.drawn_noise:g} are to be drawn "
                "but not computed; list them under cells and noise_levels as well"
            )


def _check_task(task: str) -> None:
    if task not in TASK_NAMES:
        raise ValueError(f"there is no task {task!r}; there are {', '.join(TASK_NAMES)}")


class _Transferred(_Table, kw_only=True):
    """What trainings on both ends of transfers have in common."""

    cells: Names | None = None
    noise_levels: Annotated[list[Level], Meta(min_length=1)]
    n_environments: Count
    n_particles: Count
    width: Size
    hidden: Size
    blocks: Size
    seed: Seed
    tied: bool


class TransferSource(_Transferred):
    """A network that learns a task from all data."""

    task: Name
    source_epochs: Count

    def __post_init__(self) -> None:
        _check_task(self.task)


class Transfer(_Transferred):
    """Networks that learn a task from little data, with what another has learned, or without."""

    source: str
    target: Name
    amounts: Annotated[list[Count], Meta(min_length=1)]
    replicas: Annotated[int, Meta(ge=1, le=1000)]
    steps: Count
    epochs: Count
    learning_rate: Annotated[float, Meta(ge=1e-9, le=10)]

    def __post_init__(self) -> None:
        _check_task(self.target)


class Transfers(Struct):
    """All transfers, without what their trainings have in common."""

    tasks: Names
    source: _Part
    target: _Part


class TransferTable(_Table):
    """The table of all transfers."""


class Quality(_Table):
    """The models that are measured."""

    models: Names


class QualitySystem(Struct):
    """A system that models are measured on, without the parameters of what makes it."""

    group: Name
    name: Name
    make: Name


class ShippedModel(Struct):
    """The shipped models, in as far as jobs are made of it: numbers of samples by part."""

    samples: Annotated[dict[Name, Count], Meta(min_length=1)]


class ShippedTraining(Struct):
    """Their training, which has many parameters more."""

    seed: Seed


class Samples(_Table):
    """A part of the samples that shipped models learn from."""

    part: Name
    role: Name
    n: Count


class CompoundsNoise(_Table):
    """Highest displacements in each direction, in units of the shortest distance."""

    lattices: Level
    common: Level
    compounds: Level
    other: Level


class CompoundsTraining(_Table):
    """The model that names compounds, and its training."""

    start: Name
    lattices: Names
    common: Names
    left_out: Names
    noise: CompoundsNoise
    n_random: Count
    environments: Annotated[dict[Name, Count], Meta(min_length=1)]
    epochs: Count
    label_epochs: Count
    seed: Seed


class CompoundsModel(Struct):
    """The same, in as far as jobs are made of it: numbers of samples by part."""

    samples: Annotated[dict[Name, Count], Meta(min_length=1)]


class CompoundsSamples(_Table):
    """A part of the samples that it learns from."""

    part: Name
    role: Name
    n: Count


class DenoiseNoise(_Table):
    """Highest displacements in each direction, in units of the shortest distance."""

    common: Level
    other: Level


class DenoiseTraining(_Table):
    """The model that takes thermal displacements out of positions, and its training."""

    common: Names
    left_out: Names
    noise: DenoiseNoise
    n_random: Count
    width: Size
    hidden: Size
    blocks: Size
    epochs: Count
    batch_size: Count
    learning_rate: Annotated[float, Meta(ge=1e-9, le=10)]
    validation_fraction: Annotated[float, Meta(gt=0, lt=1)]
    measured: Names
    seed: Seed


class DenoiseModel(Struct):
    """The same, in as far as jobs are made of it: numbers of samples by part."""

    samples: Annotated[dict[Name, Count], Meta(min_length=1)]


class DenoiseSamples(_Table):
    """A part of the samples that it learns from."""

    part: Name
    n: Count


class EmbeddingTraining(_Table):
    """The model whose purpose is its embedding, and its training."""

    source: Name
    left_out: Names
    noise: Level
    n_random: Count
    context: Size
    epochs: Count
    seed: Seed


class EmbeddingModel(Struct):
    """The same, in as far as jobs are made of it: numbers of samples by part."""

    samples: Annotated[dict[Name, Count], Meta(min_length=1)]


class EmbeddingSamples(_Table):
    """A part of the samples that it learns from."""

    part: Name
    n: Count


class Representations(_Table):
    """What representations of environments are compared on."""

    models: Names
    n_runs: Annotated[int, Meta(ge=1, le=1000)]
    n_frames: Count
    n_particles: Count
    n_bulk: Count
    n_cells: Count
    levels: Annotated[list[Level], Meta(min_length=1)]
    shots: Annotated[list[Count], Meta(min_length=1)]
    seed: Seed


class Disorder(_Table):
    """A system of the disorder that shipped models learn from."""

    of: Name
    seed: Seed


#: What a job's state point has beside its study and kind and the parameters of its potential, by
#: the kind of job.
KINDS: dict[str, type[Struct]] = {
    "assembly": Assembly,
    "compounds_model": CompoundsTraining,
    "compounds_samples": CompoundsSamples,
    "denoise_model": DenoiseTraining,
    "denoise_samples": DenoiseSamples,
    "disorder": Disorder,
    "embedding_map": EmbeddingMap,
    "embedding_model": EmbeddingTraining,
    "embedding_samples": EmbeddingSamples,
    "fluid": Fluid,
    "grains": Grains,
    "liquid": Liquid,
    "liquid_comparison": LiquidComparison,
    "quality": Quality,
    "quality_system": QualitySystem,
    "reference": Reference,
    "representations": Representations,
    "samples": Samples,
    "shipped_model": ShippedTraining,
    "structure_model": StructureModel,
    "system": System,
    "transfer": Transfer,
    "transfer_source": TransferSource,
    "transfer_table": TransferTable,
    "unseen": Unseen,
}


# ---- the whole file ----


class Cluster(_Table):
    """What the scheduler is asked for."""

    gpus: Annotated[int, Meta(ge=0, le=1000)]
    walltime_hours: Annotated[float, Meta(gt=0, le=1e5)]


class File(_Table):
    """All tables of a study's file."""

    minutes: Annotated[float, Meta(ge=0, le=1e8)]
    cluster: Cluster
    structure_model: StructureModel | None = None
    shipped_model: ShippedModel | None = None
    denoise_model: DenoiseModel | None = None
    compounds_model: CompoundsModel | None = None
    embedding_model: EmbeddingModel | None = None
    representations: Representations | None = None
    disorder: dict[Name, Annotated[int, Meta(ge=0, le=10_000)]] | None = None
    protocol: _Part | None = None
    systems: list[_Part] = []
    fluid_protocol: _Part | None = None
    fluids: list[_Part] = []
    reference: Reference | None = None
    assemblies: list[_Part] = []
    liquid_protocol: _Part | None = None
    liquids: list[_Part] = []
    liquid_comparison: LiquidComparison | None = None
    embedding_map: EmbeddingMap | None = None
    unseen: Unseen | None = None
    grains: Grains | None = None
    transfer: Transfers | None = None
    quality: Quality | None = None
    quality_systems: list[_Part] = []

    def __post_init__(self) -> None:
        for table, needed in (
            ("systems", "structure_model"),
            ("systems", "protocol"),
            ("fluids", "protocol"),
            ("fluids", "fluid_protocol"),
            ("assemblies", "protocol"),
            ("liquids", "protocol"),
            ("liquids", "liquid_protocol"),
            ("liquid_comparison", "liquids"),
            ("representations", "embedding_model"),
            ("representations", "liquids"),
            ("embedding_map", "assemblies"),
            ("unseen", "assemblies"),
            ("reference", "assemblies"),
            ("quality_systems", "quality"),
            ("quality", "quality_systems"),
        ):
            if getattr(self, table) and not getattr(self, needed):
                raise ValueError(f"it has {table} and no {needed}")
        if self.liquids and not (self.liquid_comparison or self.representations):
            raise ValueError("it has liquids and no liquid_comparison")
        if self.unseen is not None:
            epochs = {one.get("name"): one.get("trajectory_epochs") for one in self.assemblies}
            for name in (self.unseen.learned, self.unseen.trajectory):
                if name not in epochs:
                    raise ValueError(f"unseen: no assembly is named {name!r}")
            if not epochs[self.unseen.learned]:
                raise ValueError(f"unseen: {self.unseen.learned!r} has no trajectory_epochs")


def check_job(kind: str, values: dict[str, Any]) -> None:
    """Check what a job's state point has beside its study and kind.

    Raises
    ------
    ValueError
        With the key that is wrong, unknown or missing.
    """
    if issubclass(KINDS[kind], Cooled):
        potential = values.get("potential")
        if not isinstance(potential, str) or potential not in POTENTIALS:
            known = ", ".join(map(repr, POTENTIALS))
            raise ValueError(f"potential: {potential!r} is none of {known}")
        own = {field for field in POTENTIALS[potential].__struct_fields__ if field in values}
        fill(POTENTIALS[potential], {key: values[key] for key in own})
        values = {key: values[key] for key in set(values) - own - {"potential"}}
    fill(KINDS[kind], values)


def check_finite(value: Any, where: str = "") -> None:
    """Check that a part of a file holds nothing but text, finite numbers, and tables of these.

    Raises
    ------
    ValueError
        With the key of what is something else.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            check_finite(item, f"{where}.{key}" if where else key)
    elif isinstance(value, list):
        for i, item in enumerate(value):
            check_finite(item, f"{where}[{i}]")
    elif isinstance(value, int | float):
        if not (math.isfinite(value) if isinstance(value, float) else abs(value) < 2**63):
            raise ValueError(f"{where}: not a finite number of 64 bits")
    elif not isinstance(value, str):
        raise ValueError(f"{where}: a {type(value).__name__}, where text or a number should be")

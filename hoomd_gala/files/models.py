"""Model files: a network's weights and everything needed to apply it, in one safetensors file.

The header of a safetensors file holds a JSON description beside the tensors. Loading reads
numbers and JSON only; nothing is unpickled.
"""

import dataclasses
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypedDict

import torch
from msgspec import Meta
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ..errors import InputError
from ..names import LONGEST_NAME, is_name
from ..neighbors.environments import LENGTH_CONVENTIONS, N_NEIGHBORS
from ..networks import (
    NETWORKS,
    CoreConfig,
    FrameClassifier,
    MultiscaleEmbedder,
    Network,
    make_network,
)
from ..results import DISORDERED, UNKNOWN_NAME
from .atomic import replacing
from .fields import check_plain, fill, short_reason
from .shipped import find_model as find_model
from .shipped import shipped_models as shipped_models

#: Key of the JSON description in the file's header.
_KEY = "hoomd_gala"

#: Version of the description. Files of version 1, which did not say so, have no length convention:
#: theirs is "mean" without a length scale and "absolute" with one.
FORMAT = 3

#: Bytes of the largest header that is read, and lists and tables in the largest description; those
#: of thousands of classes have a tenth.
_LARGEST_HEADER, _MOST_PARTS = 2_000_000, 10_000

#: What weights are, as safetensors calls it.
_NUMBERS = "F32"


@dataclass(frozen=True)
class ModelInfo:
    """What a model's file says beside its weights.

    The types of the attributes, with their bounds, are what a file is checked for.

    Attributes
    ----------
    core : CoreConfig
        Size of the network.
    class_names : tuple of str
        Names of the classes that labels index.
    length_scale : float or None
        Length that all bonds are divided by, in units that the convention says; None for "mean".
    length_convention : str
        "mean": each environment's bonds are divided by their mean length. "shortest": bonds are
        divided by the shortest distance of the structure times ``length_scale``; see
        :func:`~.shortest_distance`. "absolute": they are divided by
        ``length_scale``, so that positions have to be in the unit of the training data.
    temperature : float
        Divides the logits; makes the confidence match the accuracy on validation data.
    unknown_below : float
        Particles of lower confidence are labeled -1.
    card : dict
        Data, seed, metrics and the command that made the model.
    task : str
        What the network was trained on, one of :data:`~hoomd_gala.networks.NETWORKS`; only frame
        classification has class names.
    context : int
        Hidden units through which the embeddings of neighbors affect the label; 0 labels each
        environment by itself. Of the task ``embedding``, numbers that the embedding has for each
        ring.
    rings : int
        1 if these are the neighbors of a particle, 2 if the neighbors of its neighbors count too.
    knows_unknown : bool
        The network has one more output than there are classes, for structures without a name.
    asks_order : bool
        Whether a particle is disordered is an output of its own; see
        :class:`~hoomd_gala.networks.FrameClassifier`.
    n_neighbors : int
        Bonds of an environment.
    withheld : tuple of str
        Classes that are not named: particles that the network assigns to them are unknown.

    Raises
    ------
    ValueError
        If these are inconsistent, or of another version of hoomd-gala.
    """

    core: CoreConfig
    class_names: tuple[str, ...]
    length_scale: Annotated[float, Meta(ge=1e-12, le=1e12)] | None = None
    temperature: Annotated[float, Meta(ge=1e-6, le=1e6)] = 1.0
    unknown_below: Annotated[float, Meta(ge=0, le=1)] = 0.0
    card: dict[str, Any] = field(default_factory=dict)
    task: str = "frame-classification"
    context: Annotated[int, Meta(ge=0, le=4096)] = 0
    knows_unknown: bool = False
    length_convention: str = "mean"
    n_neighbors: int = N_NEIGHBORS
    withheld: tuple[str, ...] = ()
    rings: int = 1
    asks_order: bool = False

    def __post_init__(self) -> None:
        if self.task not in NETWORKS:
            raise ValueError(f"there is no task {self.task!r}")
        for name in self.class_names:
            if not is_name(name) or name == UNKNOWN_NAME:
                raise ValueError(
                    f"a class cannot be named {name[:LONGEST_NAME]!r}"
                    + (f" and {len(name) - LONGEST_NAME} more" if len(name) > LONGEST_NAME else "")
                )
        if len(set(self.class_names)) < len(self.class_names):
            raise ValueError("two of its classes have the same name")
        if self.length_convention not in LENGTH_CONVENTIONS:
            known = ", ".join(LENGTH_CONVENTIONS)
            raise ValueError(f"length convention {self.length_convention!r} is none of {known}")
        if (self.length_scale is None) != (self.length_convention == "mean"):
            raise ValueError(
                f"length convention {self.length_convention} with length scale {self.length_scale}"
            )
        if self.n_neighbors != N_NEIGHBORS:
            raise ValueError(f"it takes {self.n_neighbors} neighbors, not {N_NEIGHBORS}")
        if not set(self.withheld) <= set(self.class_names):
            raise ValueError(f"withheld classes {self.withheld} are not all among its classes")
        if self.rings not in (1, 2):
            raise ValueError(f"it has {self.rings} rings of neighbors, not 1 or 2")
        if issubclass(NETWORKS[self.task], MultiscaleEmbedder) and not self.context:
            raise ValueError(f"its task is {self.task} and its rings of neighbors have no numbers")
        if self.asks_order and DISORDERED not in self.class_names:
            raise ValueError(f"it asks for order and has no class {DISORDERED!r}")

    @property
    def embedding_size(self) -> int:
        """Numbers of a particle's embedding."""
        several = issubclass(NETWORKS[self.task], MultiscaleEmbedder)
        return self.core.width + (self.rings * self.context if several else 0)

    @property
    def given_names(self) -> tuple[str, ...]:
        """Classes that particles are given: all but those withheld."""
        return tuple(name for name in self.class_names if name not in self.withheld)

    def length(self, shortest: Callable[[], float]) -> float | None:
        """Return the length that bonds of a system are divided by.

        Parameters
        ----------
        shortest : callable
            Finds the shortest distance of the system; called if that is needed.

        Returns
        -------
        float or None
            See :func:`~hoomd_gala.neighbors.scale_bonds`.
        """
        if self.length_convention == "shortest" and self.length_scale is not None:
            return self.length_scale * shortest()
        return self.length_scale

    def make_network(self) -> Network:
        """Make the network that the description is of, with random weights."""
        n_outputs = len(self.class_names) + self.knows_unknown
        disordered = self.class_names.index(DISORDERED) if self.asks_order else None
        return make_network(self.task, self.core, n_outputs, self.context, self.rings, disordered)


@dataclass(frozen=True)
class Model:
    """A network and its description."""

    network: Network
    info: ModelInfo


def describe(info: ModelInfo) -> dict[str, Any]:
    """Convert the description of a model to what its file holds as JSON."""
    return {"format": FORMAT} | dataclasses.asdict(info)


class _Card(TypedDict, total=False):
    """What programs read from a card; everything else on it is for people."""

    command: str
    metrics: dict[str, float]
    baselines: dict[str, dict[str, float]]
    merged: dict[str, list[str]]


class _Carded(TypedDict):
    """A description, in as far as it has a card."""

    card: _Card


def _read_description(text: str) -> ModelInfo:
    """Read what :func:`describe` makes, of any version.

    Raises
    ------
    ValueError
        If it is not that, with the reason.
    """
    if text.count("[") + text.count("{") > _MOST_PARTS:
        raise ValueError(f"its description has more than {_MOST_PARTS} lists and tables")
    try:
        description = json.loads(text)
    except RecursionError:
        raise ValueError("its description is nested too deep") from None
    check_plain(description)
    description = fill(dict[str, Any], description)
    version = fill(int, description.pop("format", 1))
    if version > FORMAT:
        raise ValueError(f"its format is {version}, and this version reads up to {FORMAT}")
    if version < 3 and description.get("knows_unknown"):
        raise ValueError("it measures how familiar particles are, which only format 2 did")
    if version == 1 and description.get("length_scale") is not None:
        description["length_convention"] = "absolute"
    for values, kind in ((description, ModelInfo), (description.get("core"), CoreConfig)):
        if isinstance(values, dict):
            known = {field.name for field in dataclasses.fields(kind)}
            unknown = sorted(set(values) - known)
            if unknown:
                raise ValueError(f"there is no field {unknown[0][:LONGEST_NAME]!r}")
    # of a network without classes; those of others are counted below
    description.setdefault("class_names", ())
    info = fill(ModelInfo, description)
    if issubclass(NETWORKS[info.task], FrameClassifier) != bool(info.class_names):
        raise ValueError(f"it has {len(info.class_names)} classes and its task is {info.task}")
    fill(_Carded, {"card": info.card})
    return info


def save_model(path: str | os.PathLike[str], model: Model) -> None:
    """Write a model to one safetensors file, completely or not at all."""
    tensors = {name: tensor.contiguous() for name, tensor in model.network.state_dict().items()}
    description = json.dumps(describe(model.info))
    with replacing(path) as part:
        save_file(tensors, part, metadata={_KEY: description})


@contextmanager
def _reading(path: Path) -> Iterator[Any]:
    """Open a safetensors file; damage that is found while it is read is an InputError."""
    try:
        with open(path, "rb") as start:
            header = int.from_bytes(start.read(8), "little")
        if header > _LARGEST_HEADER:
            raise ValueError(f"a header of {header} bytes")
        with safe_open(path, framework="pt") as file:
            yield file
    except InputError:
        raise
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path} is not a complete safetensors file ({_short(error)}).") from None


@contextmanager
def _of_this_version(path: Path) -> Iterator[None]:
    """Raise an InputError if what a file holds is not what a model is made of."""
    try:
        yield
    except ValueError as error:
        raise InputError(
            f"{path} is not a model of this version of hoomd-gala ({_short(error)})."
        ) from None


def _short(error: Exception) -> str:
    """First line of an error's message."""
    return short_reason(str(error).splitlines()[0])


def _describe_file(file: Any) -> ModelInfo:
    """Read the description in an open file."""
    metadata = file.metadata() or {}
    if _KEY not in metadata:
        raise ValueError(f"its header has no {_KEY!r}")
    return _read_description(metadata[_KEY])


def _check_size(info: ModelInfo, numbers: int) -> None:
    """ValueError if a network has more weights than so many, without making it.

    A description may claim sizes that no memory holds. This counts a part of the weights, so that
    the network is at most some times as large as the file that it comes from.
    """
    core = info.core
    least = core.width * (core.blocks * core.hidden + core.max_types + info.context)
    least = max(least, (core.hidden + info.context) * len(info.class_names))
    if least > numbers:
        raise ValueError(f"its network has {least} weights or more, the file {numbers} or fewer")


def _check_tensors(file: Any, expected: Mapping[str, torch.Tensor]) -> None:
    """ValueError if the tensors of an open file are not those that are expected, or not finite."""
    found = set(file.keys())
    missing, surplus = sorted(set(expected) - found), sorted(found - set(expected))
    if missing:
        raise ValueError(f"there is no tensor {missing[0]}")
    if surplus:
        raise ValueError(f"its network has no tensor {surplus[0]!r}")
    for name, tensor in expected.items():
        stored = file.get_slice(name)
        shape, numbers = tuple(stored.get_shape()), stored.get_dtype()
        if shape != tuple(tensor.shape) or numbers != _NUMBERS:
            raise ValueError(
                f"tensor {name} is {numbers} of shape {shape}, not {_NUMBERS} of shape "
                f"{tuple(tensor.shape)}"
            )
        if not file.get_tensor(name).isfinite().all():
            raise ValueError(f"tensor {name} has numbers that are not finite")


def read_info(name: str | os.PathLike[str]) -> ModelInfo:
    """Read what a model file says of the model, without its weights.

    Raises
    ------
    InputError
        As :func:`load_model` does.
    """
    path = find_model(name)
    with _reading(path) as file, _of_this_version(path):
        return _describe_file(file)


def load_model(name: str | os.PathLike[str]) -> Model:
    """Load a shipped model by name, or any model by path, onto the CPU.

    Raises
    ------
    InputError
        If there is no such model, or the file is damaged or not a model of hoomd-gala.
    """
    path = find_model(name)
    with _reading(path) as file, _of_this_version(path):
        info = _describe_file(file)
        _check_size(info, path.stat().st_size // 4)
        network = info.make_network()
        _check_tensors(file, network.state_dict())
        network.load_state_dict({key: file.get_tensor(key) for key in network.state_dict()})
    network.eval().requires_grad_(False)
    return Model(network, info)


def pick_device(device: str | torch.device) -> torch.device:
    """Return a torch device; ``"auto"`` is the GPU where there is one."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"device {str(device)!r} cannot be used ({reason}).") from None

"""Model files: a network's weights and everything needed to apply it, in one safetensors file.

The header of a safetensors file holds a JSON description beside the tensors. Loading reads
numbers and JSON only; nothing is unpickled.
"""

import dataclasses
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ..errors import InputError
from ..neighbors.environments import LENGTH_CONVENTIONS, N_NEIGHBORS
from ..networks import CoreConfig, Network, make_network
from ..results import DISORDERED
from .atomic import replacing

#: Key of the JSON description in the file's header.
_KEY = "hoomd_gala"

#: Version of the description. Files of version 1, which did not say so, have no length convention:
#: theirs is "mean" without a length scale and "absolute" with one.
FORMAT = 3

#: Where shipped models lie inside an installed package, and in a checkout.
_INSTALLED = Path(__file__).parents[1] / "weights"
_CHECKOUT = Path(__file__).parents[2] / "models"


@dataclass(frozen=True)
class ModelInfo:
    """What a model's file says beside its weights.

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
        environment by itself.
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
    length_scale: float | None = None
    temperature: float = 1.0
    unknown_below: float = 0.0
    card: dict[str, Any] = field(default_factory=dict)
    task: str = "frame-classification"
    context: int = 0
    knows_unknown: bool = False
    length_convention: str = "mean"
    n_neighbors: int = N_NEIGHBORS
    withheld: tuple[str, ...] = ()
    rings: int = 1
    asks_order: bool = False

    def __post_init__(self) -> None:
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
        if self.asks_order and DISORDERED not in self.class_names:
            raise ValueError(f"it asks for order and has no class {DISORDERED!r}")

    def length(self, shortest: Callable[[], float]) -> float | None:
        """Return the length that bonds of a system are divided by.

        Parameters
        ----------
        shortest : callable
            Finds the shortest distance of the system; called if that is needed.

        Returns
        -------
        float or None
            See :func:`~hoomd_gala.neighbors.environments.scale_bonds`.
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


def _read_description(text: str) -> ModelInfo:
    description = json.loads(text)
    version = description.pop("format", 1)
    if version > FORMAT:
        raise ValueError(f"its format is {version}, and this version reads up to {FORMAT}")
    if version < 3 and description.get("knows_unknown"):
        raise ValueError("it measures how familiar particles are, which only format 2 did")
    if version == 1 and description.get("length_scale") is not None:
        description["length_convention"] = "absolute"
    description["core"] = CoreConfig(**description["core"])
    for key in ("class_names", "withheld"):
        description[key] = tuple(description.get(key, ()))
    return ModelInfo(**description)


def save_model(path: str | os.PathLike[str], model: Model) -> None:
    """Write a model to one safetensors file, completely or not at all."""
    tensors = {name: tensor.contiguous() for name, tensor in model.network.state_dict().items()}
    description = json.dumps(describe(model.info))
    with replacing(path) as part:
        save_file(tensors, part, metadata={_KEY: description})


def shipped_models() -> dict[str, Path]:
    """Models that come with hoomd-gala, by name."""
    folder = _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT
    return {path.stem: path for path in sorted(folder.glob("*.safetensors"))}


def find_model(name: str | os.PathLike[str]) -> Path:
    """Path of a shipped model's name, or of a file.

    Raises
    ------
    InputError
        If it is neither; the message lists the shipped models.
    """
    shipped = shipped_models()
    if str(name) in shipped:
        return shipped[str(name)]
    path = Path(name)
    if path.is_file():
        return path
    if path.suffix:
        raise InputError(f"there is no model file {path}.")
    known = ", ".join(sorted(shipped)) or "none"
    raise InputError(f"no model is named {str(name)!r}; give a file, or one of: {known}.")


@contextmanager
def _reading(path: Path) -> Iterator[Any]:
    """Open a safetensors file; damage that is found while it is read is an InputError."""
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path} is not a complete safetensors file ({error}).") from None


@contextmanager
def _of_this_version(path: Path) -> Iterator[None]:
    """Raise an InputError if what a file holds is not what a model is made of."""
    try:
        yield
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{path} is not a model of this version of hoomd-gala ({reason})."
        ) from None


def read_info(name: str | os.PathLike[str]) -> ModelInfo:
    """Read what a model file says of the model, without its weights.

    Raises
    ------
    InputError
        As :func:`load_model` does.
    """
    path = find_model(name)
    with _reading(path) as file:
        metadata = file.metadata() or {}
    with _of_this_version(path):
        return _read_description(metadata[_KEY])


def load_model(name: str | os.PathLike[str]) -> Model:
    """Load a shipped model by name, or any model by path, onto the CPU.

    Raises
    ------
    InputError
        If there is no such model, or the file is damaged or not a model of hoomd-gala.
    """
    path = find_model(name)
    with _reading(path) as file:
        metadata = file.metadata() or {}
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no mapping)
    with _of_this_version(path):
        info = _read_description(metadata[_KEY])
        network = info.make_network()
        network.load_state_dict(tensors)
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

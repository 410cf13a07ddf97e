"""Networks: a core of attention blocks that all tasks share, and one module for each head."""

from .algebra import LONGEST, compress
from .autoencoder import Autoencoder, AxisAttention, Reconstruction, nearest_frame
from .bond_classifier import BondClassifier
from .core import Core, CoreConfig, Network, encode_types, relate_types
from .denoiser import Denoiser
from .frame_classifier import FrameClassifier
from .multiscale import Context, MultiscaleEmbedder, PooledNetwork
from .tasks import NETWORKS, convert_types, inherit, make_network
from .vector_regressor import VectorRegressor

__all__ = [
    "LONGEST",
    "NETWORKS",
    "Autoencoder",
    "AxisAttention",
    "BondClassifier",
    "Context",
    "Core",
    "CoreConfig",
    "Denoiser",
    "FrameClassifier",
    "MultiscaleEmbedder",
    "Network",
    "PooledNetwork",
    "Reconstruction",
    "VectorRegressor",
    "compress",
    "convert_types",
    "encode_types",
    "inherit",
    "make_network",
    "nearest_frame",
    "relate_types",
]

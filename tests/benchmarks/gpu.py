"""Speed on a GPU beside geometric-algebra-attention on the same GPU.

``python tests/benchmarks/gpu.py`` prints ratios measured side by side in one run, each the median
of several rounds, and what limits they are held against. It needs an NVIDIA GPU and nothing else
to run on it.
"""

import copy
import statistics
import sys
import time
from collections.abc import Callable

import geometric_algebra_attention.pytorch as reference
import numpy as np
import torch
from torch import Tensor, nn

from hoomd_gala import cells
from hoomd_gala.algebra import Pairs
from hoomd_gala.analyzer import Analyzer
from hoomd_gala.attention import InvariantAttention, PairAttention, TiedAttention, VectorAttention
from hoomd_gala.environments import scale_bonds
from hoomd_gala.models import load_model
from hoomd_gala.networks import CoreConfig, FrameClassifier
from hoomd_gala.structures import crystal, displace, droplet, unit_cell
from hoomd_gala.systems import System

ROUNDS = 5
#: Environments in a network at a time that either side may choose from.
BATCHES = (512, 2048, 8192, 32_768)

KINDS = {
    InvariantAttention: reference.VectorAttention,
    VectorAttention: reference.Vector2VectorAttention,
    TiedAttention: reference.TiedVectorAttention,
}


class LibraryLayer(nn.Module):
    """The library's layer with the same weights, called like ours."""

    def __init__(self, layer: PairAttention) -> None:
        super().__init__()
        options = {"score_net": layer.score, "value_net": layer.value, "reduce": layer.reduce}
        if isinstance(layer, VectorAttention):
            options |= {"scale_net": layer.scale, "covariant_mode": "full"}
        width = layer.value[-1].out_features
        self.layer = KINDS[type(layer)](width, invariant_mode="full", **options)
        if isinstance(layer, VectorAttention):
            self.layer.vector_kernels = layer.covariant_weights

    def forward(self, pairs: Pairs, values: Tensor) -> Tensor:
        return self.layer((pairs.vectors, values))


def on_library(network: FrameClassifier) -> FrameClassifier:
    """A copy of a network whose attention layers are the library's."""
    network = copy.deepcopy(network)
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if type(child) in KINDS:
                setattr(module, name, LibraryLayer(child))
    return network


def wait() -> None:
    """Let the GPU finish."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def seconds(function: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Median wall time of a call."""
    function()
    times = []
    for _ in range(rounds):
        wait()
        started = time.perf_counter()
        function()
        wait()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def report(what: str, n: int, ours: float, theirs: float | None = None, wanted: str = "") -> None:
    """Print a rate, and a ratio where there is one."""
    ratio = "" if theirs is None else f"{theirs / ours:6.1f} x"
    print(f"{what:64} {n / ours:12,.0f} /s {ratio:>9}   {wanted}", flush=True)


def bcc(n: int) -> System:
    """A warm crystal of n particles or more."""
    return displace(crystal(unit_cell("cI2-W"), n), 0.05, np.random.default_rng(1))


def embed(network: FrameClassifier, bonds: Tensor, types: Tensor, batch: int) -> Tensor:
    """Embeddings of environments, some at a time."""
    with torch.no_grad():  # the library keeps tensors, which it trains with later
        parts = zip(bonds.split(batch), types.split(batch), strict=True)
        return torch.cat([network.embed(*part) for part in parts])


def fastest(network: FrameClassifier, bonds: Tensor, types: Tensor) -> float:
    """Time for all environments with the batches that suit a network best."""
    some = slice(0, 2 * max(BATCHES))
    batch = min(
        BATCHES, key=lambda size: seconds(lambda: embed(network, bonds[some], types[some], size), 1)
    )
    return seconds(lambda: embed(network, bonds, types, batch))


def inference(name: str, network: FrameClassifier, bonds: Tensor, wanted: str) -> None:
    """Embeddings, ours against the library's, and how much they differ."""
    types = torch.zeros(len(bonds), 20, 2, device=bonds.device)
    library = on_library(network)
    report(
        f"{name}, forward: geometric-algebra-attention",
        len(bonds),
        fastest(network, bonds, types),
        fastest(library, bonds, types),
        wanted,
    )
    few = slice(0, 2048)
    with torch.no_grad():
        ours, theirs = (
            net.classify[-1](net.hidden(values, values.unsqueeze(1)))
            for net in (network, library)
            for values in [embed(net, bonds[few], types[few], 512)]
        )
    print(f"{'':4}logits differ by at most {float((ours - theirs).abs().max()):.1e} (wanted 1e-4)")


def training(name: str, network: FrameClassifier, bonds: Tensor, batch: int, wanted: str) -> None:
    """Steps of training, ours against the library's."""
    types = torch.zeros(batch, 20, 2, device=bonds.device)
    labels = torch.zeros(batch, dtype=torch.int64, device=bonds.device)

    def stepper(net: FrameClassifier) -> Callable[[], None]:
        optimizer = torch.optim.AdamW(net.parameters(), lr=0, fused=bonds.is_cuda)

        def step() -> None:
            optimizer.zero_grad()
            values = net.embed(bonds[:batch], types)
            logits = net.classify[-1](net.hidden(values, values.unsqueeze(1)))
            nn.functional.cross_entropy(logits, labels).backward()
            optimizer.step()

        return step

    theirs = seconds(stepper(on_library(network)))
    report(
        f"{name}, training step of {batch}: geometric-algebra-attention",
        batch,
        seconds(stepper(network)),
        theirs,
        wanted,
    )


def search(name: str, system: System, device: str) -> None:
    """Nearest neighbors alone."""
    positions = torch.as_tensor(system.positions, device=device)

    def run() -> None:
        for _ in cells.environments(positions, system.box):
            pass

    report(f"20 nearest neighbors, {name}, N = {len(positions)}", len(positions), seconds(run))


def whole(name: str, system: System, device: str, wanted: str) -> None:
    """From positions on the GPU to labels on the host."""
    analyzer = Analyzer("structures", device)
    analyzed = cells.device_system(torch.as_tensor(system.positions, device=device), system.box)
    started = time.perf_counter()
    analyzer.analyze_system(analyzed)
    first = time.perf_counter() - started
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    total = len(system.positions)
    time_taken = seconds(lambda: analyzer.analyze_system(analyzed))
    report(f"positions to labels, {name}, N = {total}", total, time_taken, wanted=wanted)
    peak = f", {torch.cuda.max_memory_allocated() / 2**20:.0f} MiB at most" * (device == "cuda")
    print(f"{'':4}first call {first:.1f} s{peak}")


def compare(device: str, n: int, batches: tuple[int, ...]) -> None:
    """All comparisons, with n environments or about as many particles."""
    torch.manual_seed(1)
    print(f"{'what':64} {'ours':>12}     faster than")
    structures = load_model("structures").network.to(device)
    full = FrameClassifier(CoreConfig(), 87).to(device)
    system = bcc(n)
    found = cells.nearest_neighbors(torch.as_tensor(system.positions, device=device), system.box)
    bonds = torch.as_tensor(scale_bonds(found.bonds.cpu().numpy()), dtype=torch.float32)
    bonds = bonds[:n].to(device)
    inference("width 32, hidden 64, 3 blocks", full, bonds, "wanted 20 x")
    inference("structures", structures, bonds, "wanted 20 x")
    for batch in batches:
        training("width 32, hidden 64, 3 blocks", full, bonds, batch, "wanted 5 x")
    for size in (n, 10 * n):
        crystalline = bcc(size)
        ball, _ = droplet(crystalline, 0.6)
        for name, sample in (("crystal", crystalline), ("droplet", ball)):
            search(name, sample, device)
            whole(name, sample, device, "wanted 1,000,000")


if __name__ == "__main__":
    if not torch.cuda.is_available():
        sys.exit("there is no CUDA GPU; this benchmark is of nothing else.")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    compare("cuda", 100_000, (64, 1024, 8192))

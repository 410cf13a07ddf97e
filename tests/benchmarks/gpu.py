"""Speed on a GPU beside geometric-algebra-attention on the same GPU.

``python tests/benchmarks/gpu.py`` prints ratios measured side by side in one run, each the median
of several rounds, and what limits they are held against. It needs an NVIDIA GPU and nothing else
to run on it.
"""

import copy
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geometric_algebra_attention.pytorch as reference
import numpy as np
import torch
from torch import Tensor, nn

from hoomd_gala.analyzer import Analyzer
from hoomd_gala.crystals.prototypes import crystal, displace, droplet, unit_cell
from hoomd_gala.files.models import load_model
from hoomd_gala.learning.tasks import frame_classification as task
from hoomd_gala.learning.training import add_gradients, recorded_gradients
from hoomd_gala.neighbors import device_search as cells
from hoomd_gala.neighbors.device_arrays import device_system
from hoomd_gala.neighbors.environments import scale_bonds
from hoomd_gala.networks import CoreConfig, FrameClassifier
from hoomd_gala.networks.algebra import Pairs
from hoomd_gala.networks.attention import (
    InvariantAttention,
    PairAttention,
    TiedAttention,
    VectorAttention,
)
from hoomd_gala.networks.inference import device_embedder
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


class Fused:
    """Our networks as the analyzer embeds with them."""

    def __init__(self, network: FrameClassifier) -> None:
        self.network = network
        self.embedder = device_embedder(network, 1)

    def embed(self, bonds: Tensor, types: Tensor) -> Tensor:
        assert self.embedder is not None
        kinds = torch.zeros_like(types[..., 0], dtype=torch.int64)  # all of the first type
        return self.embedder(bonds, kinds[:, 0], kinds)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.network, name)


def embed(network: Any, bonds: Tensor, types: Tensor, batch: int) -> Tensor:
    """Embeddings of environments, some at a time."""
    with torch.no_grad():  # the library keeps tensors, which it trains with later
        parts = zip(bonds.split(batch), types.split(batch), strict=True)
        return torch.cat([network.embed(*part) for part in parts])


def logits(network: Any, embedding: Tensor) -> Tensor:
    """Logits of environments, each its own and only neighbor."""
    itself = torch.arange(len(embedding), device=embedding.device).unsqueeze(1)
    found: Tensor = network.name(embedding, *network.surround(embedding, itself))
    return found


def fastest(network: Any, bonds: Tensor, types: Tensor) -> float:
    """Time for all environments with the batches that suit a network best."""
    some = slice(0, 2 * max(BATCHES))
    batch = min(
        BATCHES, key=lambda size: seconds(lambda: embed(network, bonds[some], types[some], size), 1)
    )
    return seconds(lambda: embed(network, bonds, types, batch))


def inference(name: str, network: FrameClassifier, bonds: Tensor, wanted: str) -> None:
    """Embeddings, ours against the library's, and how much they differ."""
    types = torch.zeros(len(bonds), 20, 2, device=bonds.device)
    types[..., 1] = 2  # every particle of the first type
    library, fused = on_library(network), Fused(network)
    report(
        f"{name}, forward: geometric-algebra-attention",
        len(bonds),
        fastest(fused, bonds, types),
        fastest(library, bonds, types),
        wanted,
    )
    few = slice(0, 2048)
    with torch.no_grad():
        ours, theirs = (
            logits(net, values)
            for net in (fused, library)
            for values in [embed(net, bonds[few], types[few], 512)]
        )
    largest = float(theirs.abs().max())
    difference = float((ours - theirs).abs().max()) / largest
    print(f"{'':4}logits differ by at most {difference:.1e} of the largest, {largest:.1f}")


def training(name: str, network: FrameClassifier, bonds: Tensor, batch: int, wanted: str) -> None:
    """Steps of training, ours as they are trained with and one by one, against the library's."""
    types = torch.zeros(batch, 20, 2, dtype=torch.int8, device=bonds.device)
    labels = torch.zeros(batch, dtype=torch.int64, device=bonds.device)
    data = {"bonds": bonds[:batch], "types": types, "labels": labels}

    def stepper(net: FrameClassifier, recorded: bool) -> Callable[[], None]:
        optimizer = torch.optim.AdamW(net.parameters(), lr=0, fused=bonds.is_cuda)
        gradients = recorded_gradients(net, task.loss, data) if recorded else None

        def step() -> None:
            if gradients is None:
                optimizer.zero_grad()
                add_gradients(net, task.loss, data)
            else:
                gradients(data)
            optimizer.step()

        return step

    theirs = seconds(stepper(on_library(network), recorded=False))
    for how, recorded in (("", bonds.is_cuda), (", not recorded", False)):
        report(
            f"{name}, training step of {batch}{how}: geometric-algebra-attention",
            batch,
            seconds(stepper(network, recorded)),
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
    analyzed = device_system(torch.as_tensor(system.positions, device=device), system.box)
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


def ceilings(device: str) -> tuple[float, float]:
    """Bytes per second of a large copy, read and written, and multiply-adds per second of a large
    product of halves, measured."""
    a = torch.randn(1 << 28, device=device)
    b = torch.empty_like(a)
    copied = 2 * a.nbytes / seconds(lambda: b.copy_(a))
    x, y = torch.randn(2, 8192, 8192, device=device).half()
    return copied, 8192**3 / seconds(lambda: x @ y)


def floors(name: str, config: CoreConfig, pooled: bool, limits: tuple[float, float]) -> None:
    """The least time that N environments can take, by arithmetic and by traffic with memory.

    Counted are the products of matrices of the pair layers, each of which is three of halves here,
    and the bonds, the embeddings, and what passes from launch to launch.
    """
    n, hidden, width = 20, config.hidden, config.width
    heads = [2, 1] * config.blocks if not config.tied else [2] * config.blocks
    heads += [1] if pooled else []
    products = sum(n * n * 3 * count * hidden * hidden for count in heads)
    between = 0
    for count in heads:
        sums = 1 + hidden + width + (4 if count > 1 else 0)
        members, points = 2 * count * hidden, 2 * width + 2 * 3
        between += 4 * n * (2 * sums + 2 * members + points + width)
    moved = 4 * (3 * n + width) + between
    copied, multiplied = limits
    print(
        f"{name}: {products / 1e6:.1f} million multiply-adds of halves and {moved / 1e3:.0f} kB an "
        f"environment; no faster than {multiplied / products:,.0f} /s by arithmetic, "
        f"{copied / moved:,.0f} /s by memory"
    )


def resources() -> None:
    """Registers, spills and shared memory of the kernels, from the compiler."""
    major, minor = torch.cuda.get_device_capability()
    script = Path(__file__).parents[1] / "compile_kernels.py"
    command = [sys.executable, str(script), f"{major}{minor}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(f"kernels for compute capability {major}.{minor}: {done.stdout or done.stderr[-400:]}")


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
    limits = ceilings(device)
    print(
        f"copy {limits[0] / 1e12:.2f} TB/s, products of halves {2 * limits[1] / 1e12:.0f} TFLOP/s"
    )
    floors("width 32, hidden 64, 3 blocks", CoreConfig(), True, limits)
    floors("structures", load_model("structures").info.core, True, limits)
    single = FrameClassifier(load_model("structures").info.core, 1000).to(device)
    for batch in batches:
        training("width 32, hidden 64, 3 blocks", full, bonds, batch, "wanted 5 x")
        training("structures, first stage", single, bonds, batch, "wanted 5 x")
    for size in (n, 10 * n):
        crystalline = bcc(size)
        ball, _ = droplet(bcc(round(2.7 * size)), 0.9)
        for name, sample in (("crystal", crystalline), ("droplet", ball)):
            search(name, sample, device)
            whole(name, sample, device, "wanted 1,000,000")


if __name__ == "__main__":
    if not torch.cuda.is_available():
        sys.exit("there is no CUDA GPU; this benchmark is of nothing else.")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    compare("cuda", 100_000, (64, 128, 1024, 8192))
    resources()

"""Compile the kernels for a GPU that need not be there, and print what they take of it as JSON.

``python tests/compile_kernels.py 90`` is for compute capability 9.0. A layer of the size that the
shipped models have goes all the way to the launches, with the arguments that a GPU would get. Run
by the tests in a process of its own, in which Triton does not interpret.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget

from hoomd_gala.networks import CoreConfig, FrameClassifier
from hoomd_gala.networks.algebra import pair_products
from hoomd_gala.networks.attention import TiedAttention
from hoomd_gala.networks.inference import DeviceEmbedder
from hoomd_gala.networks.kernels import choice
from hoomd_gala.networks.kernels import triton as kernels

N, WIDTH, HIDDEN = 20, 32, 32


def resources(compiled: Any) -> dict[str, int]:
    """Registers a thread, bytes of them spilled and bytes of shared memory of a kernel."""
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(compiled.asm["cubin"])
        file.flush()
        command = [str(tool), "--dump-resource-usage", file.name]
        report = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    numbers = dict(re.findall(r"(REG|STACK):(\d+)", report))
    return {
        "registers": int(numbers["REG"]),
        "spilled": int(numbers["STACK"]),
        "shared": compiled.metadata.shared,
        "tensor_core_products": len(re.findall(r"\b(?:wgmma|mma)\S*\.sync", compiled.asm["ptx"])),
    }


class Compiled:
    """Stands in for a kernel: compiles it for what it is launched with, and does not launch it."""

    def __init__(self, kernel: triton.JITFunction) -> None:
        self.kernel = kernel
        self.launches: list[dict[str, int]] = []

    def __getitem__(self, grid: tuple[int, ...]) -> Any:
        def compile_it(*args: Any, **options: Any) -> None:
            self.launches.append(resources(self.kernel.warmup(*args, grid=grid, **options)))

        return compile_it


def main() -> None:
    """All kernels, the one for pairs in inference and in training."""
    target = GPUTarget("cuda", int(sys.argv[1]), 32)
    driver = SimpleNamespace(
        get_current_device=lambda: 0,
        get_current_stream=lambda device: 0,
        get_current_target=lambda: target,
    )
    triton.runtime.driver.set_active(driver)
    forward, backward = Compiled(kernels._forward), Compiled(kernels._backward)
    update, around, split = (
        Compiled(kernel) for kernel in (kernels._update, kernels._around, kernels._split)
    )
    kernels._forward, kernels._backward, kernels._split = forward, backward, split
    kernels._update, kernels._around = update, around
    # what layers on the CPU run on; there are no results to compare
    choice.BACKENDS["cpu"] = choice.BACKENDS["cuda"]
    choice._fault = lambda *_: None
    layer = TiedAttention(WIDTH, HIDDEN)
    vectors, values = torch.randn(64, N, 3, requires_grad=True), torch.randn(64, N, WIDTH)
    with torch.inference_mode():
        layer(pair_products(vectors.detach()), values)
    sums, _ = layer(pair_products(vectors), values)
    sums.sum().backward()
    network = FrameClassifier(CoreConfig(width=WIDTH, hidden=HIDDEN, blocks=1, tied=True), 5)
    types = torch.zeros(64, dtype=torch.int64)
    with torch.inference_mode():
        embedder = DeviceEmbedder(network, 1)
        embedder(vectors.detach(), types, types[:, None].expand(-1, N))
        kernels.around(values[:, 0], values[:, 0], torch.zeros(64, N, dtype=torch.int32))
    inference, training, *_ = forward.launches
    results = {"inference": inference, "training": training}
    results |= {"update": update.launches[0], "around": around.launches[0]}
    results |= {f"backward, head {k}": needs for k, needs in enumerate(backward.launches)}
    print(json.dumps(results))


if __name__ == "__main__":
    main()

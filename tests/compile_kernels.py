"""Compile the kernels for a GPU that need not be there, and print what they take of it as JSON.

``python tests/compile_kernels.py 90`` is for compute capability 9.0. Run by the tests in a process
of its own, in which Triton does not interpret.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from hoomd_gala import triton_kernels as kernels

N, WIDTH, HIDDEN, HEADS = 20, 32, 32, 2


def resources(kernel: triton.JITFunction, capability: int, **constants: object) -> dict[str, int]:
    """Registers a thread, bytes of them spilled and bytes of shared memory of a kernel."""
    constants |= {
        "N": N,
        "F": HIDDEN,
        "H": HIDDEN,
        "WIDTH": WIDTH,
        "HEADS": HEADS,
        "F_PADDED": HIDDEN,
        "H_PADDED": HIDDEN,
        "WIDTH_PADDED": WIDTH,
        "ROWS": kernels.ROWS,
    }
    types = {"total": "i32", "clouds": "i32"} | dict.fromkeys(constants, "constexpr")
    signature = {name: types.get(name, "*fp32") for name in kernel.arg_names}
    aligned = {
        (i,): [["tt.divisibility", 16]]
        for i, kind in enumerate(signature.values())
        if kind == "*fp32"
    }
    compiled = triton.compile(
        ASTSource(kernel, signature, constants, aligned),
        target=GPUTarget("cuda", capability, 32),
        options={"num_warps": 4},
    )
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


def main() -> None:
    """Both kernels of a layer of the size that the shipped models have."""
    capability = int(sys.argv[1])
    step = min(kernels.ROWS, kernels.CLOUDS * N)
    group = kernels.ROWS // N
    results = {
        "forward": resources(kernels._forward, capability, STEP=step, KEEP=False),
        "backward": resources(kernels._backward, capability, HEAD=0, GROUP=group),
    }
    print(json.dumps(results))


if __name__ == "__main__":
    main()

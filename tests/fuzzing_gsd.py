"""GSD files that are damaged by chance, and all that reads them."""

import tempfile
from functools import cache
from pathlib import Path

import gsd.hoomd
import numpy as np
from fuzzing import Kind

from hoomd_gala.files import add_labels, append_frame, last_system, make_frame, recover, trim
from hoomd_gala.labeling import label_trajectory, view_trajectory
from hoomd_gala.learning.datasets import parse_range, trajectory_frames
from hoomd_gala.learning.hand_labels import HandLabel, labeled_systems
from hoomd_gala.results import Result
from hoomd_gala.sampling import sample_files
from hoomd_gala.systems import make_system

Rng = np.random.Generator

#: The layout of the format, a second time: what is tested does not say what is right.
HEADER, NAMES = 256, 256 + 128 * 32
ENTRY = np.dtype("<u8,<u8,<i8,<u4,<u2,u1,u1")
SIZES = (0, 1, 2, 4, 8, 1, 2, 4, 8, 4, 8, 1)

N_FRAMES, N_PARTICLES = 6, 40
LABEL = "particles/hoomd_gala/Classifier/label"
NAMES_OF_CLASSES = ("cF4-Cu", "cI2-W", "disordered")


def _frame(step: int) -> gsd.hoomd.Frame:
    rng = np.random.default_rng(step)
    n = N_PARTICLES
    box = [5.0, 5.5, 6.0, 0.1, -0.2, 0.3]
    frame = make_frame(make_system(rng.uniform(-2.5, 2.5, (n, 3)), box), step, ("A", "B"))
    frame.particles.typeid = rng.integers(0, 2, n)
    frame.particles.type_shapes = [{"type": "Sphere", "diameter": 1.0}] * 2
    frame.bonds.N, frame.bonds.types = 2, ["bond"]
    frame.bonds.group, frame.bonds.typeid = [[0, 1], [2, 3]], [0, 0]
    label = rng.integers(-1, 3, n).astype(np.int32)
    embedding = rng.random((n, 4), np.float32)
    result = Result(label, rng.random(n, np.float32), embedding, NAMES_OF_CLASSES)
    return add_labels(frame, result, quantities=("label", "confidence", "embedding"))


@cache
def example() -> bytes:
    """A labeled file, whose particle types stand for structures."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "good.gsd"
        for i in range(N_FRAMES):
            append_frame(path, _frame(10 * i), keep_types=False)
        return path.read_bytes()


# ---- damage ----


def entries_of(content: bytes) -> np.ndarray:
    """Entries of the index of the example, which is where the format puts it."""
    entries = np.frombuffer(content, ENTRY, 128, HEADER)
    return entries[entries["f2"] > 0]


def _span(entry: np.void) -> tuple[int, int]:
    start = int(entry["f2"])
    return start, start + int(entry["f1"]) * int(entry["f3"]) * SIZES[entry["f5"]]


def mutate(content: bytes, rng: Rng) -> bytes:
    """Damage a file in one way or in two."""
    for _ in range(rng.integers(1, 3)):
        how = MUTATIONS[rng.integers(len(MUTATIONS))]
        data = bytearray(content)
        content = bytes(how(data, rng) or data)
    return content


def _somewhere(data: bytearray, rng: Rng) -> int:
    """Header, index, names or chunks, each as often."""
    borders = (0, HEADER, HEADER + 32 * 90, NAMES, NAMES + 1024, len(data))
    part = int(rng.choice([0, 1, 3, 4]))
    at = int(rng.integers(borders[part], max(borders[part] + 1, borders[part + 1])))
    return max(min(at, len(data) - 1), 0)


def _flip(data: bytearray, rng: Rng) -> None:
    at = _somewhere(data, rng)
    for _ in range(rng.integers(1, 5) if data else 0):
        data[min(at + int(rng.integers(8)), len(data) - 1)] ^= 1 << int(rng.integers(8))


def _overwrite(data: bytearray, rng: Rng) -> None:
    at, size = _somewhere(data, rng), int(2 ** rng.uniform(0, 9))
    part = data[at : at + size]
    data[at : at + size] = bytes(len(part)) if rng.random() < 0.5 else rng.bytes(len(part))


def _truncate(data: bytearray, rng: Rng) -> None:
    del data[int(rng.integers(len(data))) :]


def _change_entry(data: bytearray, rng: Rng) -> None:
    index = np.frombuffer(data, ENTRY, 128, HEADER) if len(data) > NAMES else np.zeros(1, ENTRY)
    entry = index[rng.integers(max(np.count_nonzero(index["f2"]), 1))]
    field = ENTRY.names[rng.integers(len(ENTRY.names))]
    old, most = int(entry[field]), np.iinfo(ENTRY[field]).max
    new = rng.choice([0, old - 1, old + 1, old * 2, old // 2, most, most // 2, 10**9, 10**12])
    entry[field] = int(np.clip(int(new), 0, most))


def _swap_entries(data: bytearray, rng: Rng) -> None:
    if len(data) > NAMES:
        index = np.frombuffer(data, ENTRY, 128, HEADER)
        i, j = rng.integers(max(np.count_nonzero(index["f2"]), 1), size=2)
        index[[i, j]] = index[[j, i]]


def _swap_chunks(data: bytearray, rng: Rng) -> bytearray | None:
    entries = entries_of(bytes(data)) if len(data) > NAMES else np.zeros(0, ENTRY)
    if len(entries) < 2:
        return None
    (a, b), (c, d) = sorted(_span(entries[i]) for i in rng.choice(len(entries), 2, replace=False))
    if not b <= c or d > len(data):
        return None
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def _change_number(data: bytearray, rng: Rng) -> None:
    """Set a number of a chunk: of particles, a type, a label, a bond, a length."""
    entries = entries_of(bytes(data)) if len(data) > NAMES else np.zeros(0, ENTRY)
    chosen = entries[rng.permutation(len(entries))[:1]]
    for entry in chosen:
        start, end = _span(entry)
        size = SIZES[entry["f5"]]
        if size and start < end <= len(data):
            at = start + size * int(rng.integers((end - start) // size))
            strange = [bytes(size), b"\xff" * size, b"\x7f" * size, b"\0\0\xc0\x7f" * 2]
            data[at : at + size] = strange[rng.integers(4)][:size]


MUTATIONS = (
    *(_flip, _flip, _overwrite, _truncate, _change_entry, _change_entry, _swap_entries),
    *(_swap_chunks, _change_number),
)


def numbers_changed(content: bytes) -> bool:
    """Whether damage changed numbers in chunks, which only their author could notice."""
    good = example()
    # the number of particles is not of these: what is stored of each has to agree
    counts = [good[NAMES:].split(b"\0").index(name) for name in (b"particles/N", b"bonds/N")]
    spans = [_span(entry) for entry in entries_of(good) if entry["f4"] not in counts]
    if any(good[a:b] != content[a:b] for a, b in spans if b <= len(content)):
        return True
    # pieces of the same shape that have changed places are such numbers as well
    if len(content) <= NAMES:
        return False
    shapes = {int(e["f2"]): (e["f1"], e["f3"], e["f5"]) for e in entries_of(good)}
    before, after = (np.frombuffer(each, ENTRY, 128, HEADER) for each in (good, content))
    moved = [new for old, new in zip(before, after, strict=True) if old["f2"] != new["f2"]]
    return bool(moved) and all(
        shapes.get(int(new["f2"])) == (new["f1"], new["f3"], new["f5"]) for new in moved
    )


# ---- readers ----


@cache
def _model() -> Path:
    import torch

    from hoomd_gala.files.models import Model, ModelInfo, save_model
    from hoomd_gala.networks import CoreConfig

    torch.manual_seed(1)
    torch.set_num_threads(1)
    path = Path(tempfile.mkdtemp()) / "model.safetensors"
    info = ModelInfo(CoreConfig(width=8, hidden=8, blocks=1, tied=True), NAMES_OF_CLASSES)
    save_model(path, Model(info.make_network(), info))
    return path


def _contents(path: Path) -> dict[int, tuple[np.ndarray, ...]]:
    """Positions and labels by timestep, read by gsd itself."""
    with gsd.hoomd.open(path, "r") as trajectory:
        return {
            int(frame.configuration.step): (frame.particles.position, frame.log.get(LABEL))
            for frame in trajectory
        }


@cache
def _expected(reader: str) -> object:
    """What a reader makes of the good file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.gsd"
        path.write_bytes(example())
        return READ[reader](path)


def _label(path: Path) -> object:
    out = path.with_name("out.gsd")
    label_trajectory(path, out, _model())
    return _contents(out)


def _view(path: Path) -> object:
    return _contents(view_trajectory(path))


def _plot(path: Path) -> object:
    samples = sample_files(None, [str(path)], 60)
    return {sample.about["time"]: (sample.embedding,) for sample in samples}


def _train(path: Path) -> object:
    frames, names = trajectory_frames([parse_range(f"{path}@0")], 30, np.random.default_rng(1))
    assert len(names) == 1, "another number of frames"
    return {0: (np.asarray(frames.bonds),)}


def _few_shot(path: Path) -> object:
    rows = [HandLabel(0, i // 3, 4 + i, "ab"[i % 2], i + 2) for i in range(6)]
    labeled = labeled_systems("labels.csv", [str(path)], rows, ["a", "b"])
    return {i: (system.positions,) for i, (system, *_) in enumerate(labeled)}


def _recover(path: Path) -> object:
    out = path.with_name("out.gsd")
    number = recover(path, out)
    found = _contents(out)
    with gsd.hoomd.open(out, "r") as trajectory:
        assert len(trajectory) == number, f"{number} frames, and {len(trajectory)} in the file"
    return found


def _trim(path: Path) -> object:
    number = trim(path, 10 * N_FRAMES - 20)
    with gsd.hoomd.open(path, "r") as trajectory:
        assert len(trajectory) == number, f"{number} frames, and {len(trajectory)} in the file"
    return _contents(path)


def _append(path: Path) -> object:
    append_frame(path, _frame(10 * N_FRAMES), keep_types=False)
    with gsd.hoomd.open(path, "r") as trajectory:
        frame = trajectory[len(trajectory) - 1]
    return {int(frame.configuration.step): (frame.particles.position, frame.log.get(LABEL))}


def _last(path: Path) -> object:
    return {0: (last_system(path).positions,)}


READ = {
    "label": _label,
    "view": _view,
    "plot": _plot,
    "train": _train,
    "few-shot": _few_shot,
    "recover": _recover,
    "trim": _trim,
    "append": _append,
    "last frame": _last,
}


def _check(reader: str, path: Path) -> None:
    content = path.read_bytes()
    # the last frame may be another one, too
    good = _expected("recover" if reader in ("last frame", "trim") else reader)
    try:
        found = READ[reader](path)
    except Exception:
        if reader in ("trim", "append"):
            assert path.read_bytes() == content, "the file was changed"
        raise
    if numbers_changed(content):
        return
    # a file that ends earlier has fewer frames, and numbers them anew
    originals = iter(good.values())
    for step, values in found.items():
        same = (all(map(_same, values, other)) for other in originals)
        assert any(same), f"what is read at timestep {step} is not in the file"


def _same(found: np.ndarray | None, expected: np.ndarray | None) -> bool:
    """Whether numbers are the same; labels may be missing if the name of their chunk is damaged."""
    return found is None or np.array_equal(found, expected)


KIND = Kind(
    ".gsd",
    lambda folder: example(),
    mutate,
    {name: (lambda path, name=name: _check(name, path)) for name in READ},
)

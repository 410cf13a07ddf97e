"""Classes of the shipped model: local environments that a network confuses become one."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from hoomd_gala.files.models import Model
from hoomd_gala.learning.datasets import Frames, to_tensors
from hoomd_gala.results import DISORDERED
from study.training.kinds import Kinds


def measure_confusion(model: Model, frames: Frames, n_outputs: int) -> NDArray[np.float64]:
    """(n, n) shares of each label's environments that are predicted as each output, as rows."""
    data = to_tensors(frames, model.info.core, None)
    device = next(model.network.parameters()).device
    predicted = []
    with torch.inference_mode():
        for start in range(0, len(data["labels"]), 64):
            bonds, types = (data[key][start : start + 64].to(device) for key in ("bonds", "types"))
            predicted.append(model.network(bonds, types)[0].argmax(-1).cpu())
    counts = np.zeros((n_outputs, n_outputs))
    np.add.at(counts, (frames.labels, torch.cat(predicted).numpy()), 1)
    shares: NDArray[np.float64] = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return shares


def merge(confusion: NDArray[np.float64], above: float) -> NDArray[np.int64]:
    """Merge environments that are confused, the worst pair first, down to a limit of confusion.

    The confusion of two environments is the share of errors among their predictions as one of the
    two; of two groups, that of their sums.

    Parameters
    ----------
    confusion : (K, K)
        Share of each environment that is predicted as each, as rows.
    above : float
        Pairs with at most this confusion are not merged.

    Returns
    -------
    (K,) int64
        For each environment, the lowest number in its group.
    """
    table = confusion.copy()
    group = np.arange(len(table))
    while True:
        own = np.diag(table)
        wrong = table + table.T
        share = wrong / np.maximum(wrong + own[:, None] + own[None, :], 1e-12)
        np.fill_diagonal(share, 0)
        first, second = sorted(np.unravel_index(share.argmax(), share.shape))
        if share[first, second] <= above:
            return group
        group[group == second] = first
        # rows and columns add up; the emptied ones are never chosen again
        table[first] += table[second]
        table[:, first] += table[:, second]
        table[second], table[:, second] = 0, 0


def common_first(
    group: NDArray[np.int64], cells: Sequence[str], common: Collection[str]
) -> NDArray[np.int64]:
    """Represent groups by an environment of a common cell, where they have one.

    Parameters
    ----------
    group : (K,) int64
        Groups of environments, as :func:`merge` numbers them.
    cells : sequence of str
        Cell of each environment.
    common : collection of str
        Cells whose names people know.

    Returns
    -------
    (K,) int64
        For each environment, the number of the one that its group is named for.
    """
    named = group.copy()
    for kind in reversed([kind for kind, cell in enumerate(cells) if cell in common]):
        named[group == group[kind]] = kind
    return named


def whole_cells(group: NDArray[np.int64], kinds: Kinds) -> NDArray[np.int64]:
    """Merge what is left of cells most of whose environments another cell has.

    A cell at least two thirds of whose particles are in groups of another one is that structure
    with somewhat different coordinates, as beta-uranium is the sigma phase: what is distinguished
    of it would be a second name inside crystals of either.

    Parameters
    ----------
    group : (K,) int64
        Groups of environments, as :func:`merge` numbers them.
    kinds : Kinds
        The environments of all cells.

    Returns
    -------
    (K,) int64
        For each environment, the lowest number in its group.
    """
    merged = group.copy()
    for name in dict.fromkeys(kinds.cells):
        labels = kinds.labels[name]
        groups = merged[labels[(labels >= 0) & (labels < len(group))]].tolist()
        (cell, count), *_ = Counter(kinds.cells[each] for each in groups).most_common()
        if cell != name and 3 * count >= 2 * len(labels):
            theirs = next(each for each in groups if kinds.cells[each] == cell)
            own = [kind for kind, other in enumerate(kinds.cells) if other == name]
            merged[np.isin(merged, own)] = theirs
    return merged


class Classes(NamedTuple):
    """Classes of local environments.

    Attributes
    ----------
    names : tuple of str
        Name of each class, "disordered" last.
    of_label : (K + 2,) int64
        Class of each environment, of OTHER (the number of names) and of DISORDERED.
    members : dict
        For each class that several unit cells share, these cells.
    """

    names: tuple[str, ...]
    of_label: NDArray[np.int64]
    members: dict[str, list[str]]

    @property
    def unknown(self) -> int:
        """Output for structures without a name."""
        return len(self.names)


def make_classes(kinds: Kinds, group: NDArray[np.int64]) -> Classes:
    """Name groups of environments, (K,), for the cell of the environment that numbers each."""
    titles = [kinds.cells[representative] for representative in group]
    names = (*dict.fromkeys(titles), DISORDERED)
    index = [names.index(title) for title in titles]
    of_label = np.array([*index, len(names), len(names) - 1])
    members: dict[str, list[str]] = {}
    for cell in kinds.labels:
        own = {titles[kind] for kind in kinds.labels[cell] if 0 <= kind < len(kinds.cells)}
        for title in own:
            members.setdefault(title, []).append(cell)
    shared = {title: cells for title, cells in members.items() if cells != [title]}
    return Classes(names, of_label, shared)

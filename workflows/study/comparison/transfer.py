"""Whether transfers between tasks help: means and paired comparisons of all trainings."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import false_discovery_control, ttest_1samp

from study.training.transfer import DIRECT


def means(rows: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """Mean and standard error over replicas, for each source, target, mode and amount of data."""
    groups: dict[tuple[str, str, str, int], list[Mapping[str, str]]] = {}
    for row in rows:
        key = (row["target"], row["source"], row["mode"], int(row["amount"]))
        groups.setdefault(key, []).append(row)
    table = []
    for (target, source, mode, amount), members in sorted(groups.items()):
        entry: dict[str, Any] = {"target": target, "source": source, "mode": mode}
        entry |= {"amount": amount, "replicas": len(members)}
        for name in ("loss", "accuracy"):
            values = np.array([float(row[name]) for row in members if row[name] != ""])
            error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
            entry[name] = float(values.mean()) if len(values) else ""
            entry[f"{name}, standard error"] = float(error) if len(values) else ""
        entry["baseline"] = float(np.mean([float(row["baseline"]) for row in members]))
        table.append(entry)
    return table


def gains(rows: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """Ratio of the loss of direct training to that of each transfer, the largest first.

    Geometric mean over replicas, each compared with the direct training on the same data, as
    replicas mostly differ in how hard their data are. ``p`` is that of Student's test that the
    logarithms of these ratios have mean zero, corrected for the number of transfers with the same
    amount of data (Benjamini and Hochberg); 1 for a single replica.
    """
    groups: dict[tuple[str, str, str, int], dict[str, Mapping[str, str]]] = {}
    for row in rows:
        key = (row["target"], row["source"], row["mode"], int(row["amount"]))
        groups.setdefault(key, {})[row["replica"]] = row
    found: list[dict[str, Any]] = []
    for (target, source, mode, amount), own in groups.items():
        direct = groups.get((target, "", DIRECT, amount), {})
        shared = [replica for replica in own if replica in direct]
        if mode == DIRECT or not shared:
            continue
        loss = np.array([float(own[replica]["loss"]) for replica in shared])
        other = np.array([float(direct[replica]["loss"]) for replica in shared])
        ratios = np.log(other / loss)
        # no test of a single replica, nor of equal ratios
        p = ttest_1samp(ratios, 0).pvalue if np.ptp(ratios) > 0 else 1.0
        found.append(
            {
                "source": source,
                "target": target,
                "mode": mode,
                "amount": amount,
                "loss": float(loss.mean()),
                "direct loss": float(other.mean()),
                "baseline": float(np.mean([float(row["baseline"]) for row in direct.values()])),
                "times smaller": float(np.exp(ratios.mean())),
                "p": float(p),
            }
        )
    for amount in {row["amount"] for row in found}:
        same = [row for row in found if row["amount"] == amount]
        for row, p in zip(same, false_discovery_control([row["p"] for row in same]), strict=True):
            row["p"] = float(p)
    return sorted(found, key=lambda row: -row["times smaller"])

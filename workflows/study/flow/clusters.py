"""Clusters with SLURM that signac-flow does not know by name."""

from argparse import ArgumentParser
from typing import Any

from flow.environment import DefaultSlurmEnvironment, registered_environments


class Slurm(DefaultSlurmEnvironment):  # type: ignore[misc]
    """Any cluster with SLURM; requests GPUs for operations that need them.

    Flow's own environment for unknown clusters refuses to, as it does not know which nodes have
    any; SLURM does.
    """

    template = "slurm_gpus.sh"

    @classmethod
    def is_present(cls) -> bool:
        """Whether there is SLURM, and flow has no environment for this cluster by name."""
        known = any(
            other.hostname_pattern is not None and other.is_present()
            for other in registered_environments()
        )
        return bool(super().is_present()) and not known

    @classmethod
    def add_args(cls, parser: ArgumentParser) -> None:
        """Options of ``submit``."""
        super().add_args(parser)
        parser.add_argument("--partition", help="Partition to submit to, as SLURM calls it.")
        parser.add_argument("--account", help="Account to charge, as SLURM calls it.")

    @classmethod
    def _get_scheduler_values(cls, context: dict[str, Any]) -> dict[str, Any]:
        values: dict[str, Any] = super()._get_scheduler_values(context | {"force": True})
        return values

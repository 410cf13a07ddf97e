"""Triggers that let structures steer a HOOMD-blue simulation."""

from collections.abc import Sequence

import hoomd

from ...clusters import check_reach
from ...errors import InputError
from ...results import class_indices
from .classifier import Classifier


class _Threshold(hoomd.trigger.Trigger):  # type: ignore[misc]
    """Active from where a number reaches one value until it falls below another.

    Parameters
    ----------
    classifier, structure, above, release, period
        As the triggers below have them, with a number for ``release``.
    """

    def __init__(
        self,
        classifier: Classifier,
        structure: str | Sequence[str] | None,
        above: float,
        release: float,
        period: int,
    ) -> None:
        super().__init__()
        if period < 1:
            raise InputError(f"the period is {period}; give a positive number of timesteps.")
        if structure is not None:
            class_indices(classifier.class_names, structure)
        self.classifier = classifier
        self.structure = structure
        self.above = above
        self.release = release
        self.period = period
        #: Whether the number was past the threshold when it was last evaluated.
        self.active = False

    def _value(self) -> float:
        """Return the number, which is at most ``period`` timesteps old."""
        raise NotImplementedError

    def compute(self, timestep: int) -> bool:
        """Decide for a timestep; called by HOOMD at most once for each."""
        self.active = self._value() >= (self.release if self.active else self.above)
        return self.active


class Fraction(_Threshold):
    """Active while the fraction of a structure is past a threshold.

    Like :class:`hoomd.trigger.After`, it stays active: combine it with
    :class:`hoomd.trigger.Periodic` to choose how often something happens while it is.

    Parameters
    ----------
    classifier : hoomd_gala.Classifier
        Gives the labels; attached to the simulation.
    structure : str or sequence of str, optional
        Names of classes whose fractions are added up, or ``"unknown"``; if not given, everything
        solid: all that is neither disordered nor unknown.
    above : float
        The trigger becomes active when the fraction reaches this.
    release : float, optional
        It becomes inactive when the fraction falls below this; ``above`` if not given. Between the
        two it stays what it is, so that fluctuations do not switch it on and off.
    period : int
        Timesteps for which labels stay valid: older ones are computed again. Labels that were
        written or logged in the meantime are used and cost nothing.

    Raises
    ------
    InputError
        For thresholds that are not in order, a period that is not positive, or a structure that
        the model has no class for.

    Notes
    -----
    HOOMD evaluates triggers one step ahead, and not on steps where another one in the same
    :class:`hoomd.trigger.And` is already false; the labels may therefore be up to ``period`` steps
    old. All MPI ranks get the same answer. Whether the trigger is active is part of its state,
    which pickle keeps and a restart from a GSD file does not.

    Examples
    --------
    Write densely while a solid grows:

    >>> growing = hoomd_gala.triggers.Fraction(classifier, above=0.05, period=1_000)
    >>> grown = hoomd_gala.triggers.Fraction(classifier, above=0.9, period=1_000)
    >>> dense = hoomd.trigger.And(
    ...     [hoomd.trigger.Periodic(100), growing, hoomd.trigger.Not(grown)])
    >>> writer = hoomd.write.GSD(trigger=dense, filename="growth.gsd")

    Stop when it has nucleated:

    >>> nucleated = hoomd_gala.triggers.Fraction(classifier, above=0.1)
    >>> simulation.run(0)  # attaches the classifier
    >>> while simulation.timestep < 1_000_000 and not nucleated(simulation.timestep):
    ...     simulation.run(1_000)
    """

    def __init__(
        self,
        classifier: Classifier,
        structure: str | Sequence[str] | None = None,
        *,
        above: float,
        release: float | None = None,
        period: int = 1,
    ) -> None:
        release = above if release is None else release
        if not 0 < release <= above <= 1:
            raise InputError(
                f"release is {release} and above {above}; give 0 < release <= above <= 1."
            )
        super().__init__(classifier, structure, above, release, period)

    def _value(self) -> float:
        return self.classifier.recent_fraction(self.structure, self.period)


class LargestCluster(_Threshold):
    """Active while the largest cluster of a structure has a number of particles or more.

    Parameters
    ----------
    classifier : hoomd_gala.Classifier
        Gives the labels; attached to the simulation.
    structure : str or sequence of str, optional
        Names of classes whose particles form clusters, or ``"unknown"``; if not given, everything
        solid: all that is neither disordered nor unknown.
    above : int
        The trigger becomes active when the largest cluster reaches this size.
    release : int, optional
        It becomes inactive when that falls below this; ``above`` if not given.
    period : int
        Timesteps for which clusters stay valid: older ones are found again.
    r_max : float, optional
        Largest distance of particles that are connected: see
        :func:`hoomd_gala.clusters.find_clusters`.

    Raises
    ------
    InputError
        For sizes that are not in order, a period or distance that is not positive, or a structure
        that the model has no class for.

    Examples
    --------
    Stop at the critical nucleus:

    >>> critical = hoomd_gala.triggers.LargestCluster(classifier, "fcc", above=120, period=200)
    >>> simulation.run(0)  # attaches the classifier
    >>> while simulation.timestep < 1_000_000 and not critical(simulation.timestep):
    ...     simulation.run(200)
    """

    def __init__(
        self,
        classifier: Classifier,
        structure: str | Sequence[str] | None = None,
        *,
        above: int,
        release: int | None = None,
        period: int = 1,
        r_max: float | None = None,
    ) -> None:
        release = above if release is None else release
        if not 0 < release <= above:
            raise InputError(f"release is {release} and above {above}; give 0 < release <= above.")
        if r_max is not None:
            check_reach(r_max)
        super().__init__(classifier, structure, above, release, period)
        self.r_max = r_max

    def _value(self) -> float:
        return self.classifier.clusters(self.structure, self.r_max, self.period).largest

"""What errors do while a running simulation is labeled: they do not end it."""

import warnings

from ..errors import InputError


class ErrorPolicy:
    """Decides what becomes of an error while a running simulation is labeled.

    A disk may be full, or a deposition begin with three particles, after days of simulation that
    needs none of these labels: what looks at a simulation must not be what ends it.

    Parameters
    ----------
    errors : str
        ``"warn"``: a RuntimeWarning for the first of the errors by which the same is lost.
        ``"raise"``: each error is raised.

    Raises
    ------
    InputError
        For anything else.
    """

    def __init__(self, errors: str) -> None:
        if errors not in ("warn", "raise"):
            raise InputError(f"errors is {errors!r}; give 'warn' or 'raise'.")
        self.errors = errors
        self._said: set[str] = set()

    def take(self, error: Exception, lost: str) -> None:
        """Raise an error that has just been caught, or warn of it.

        Parameters
        ----------
        error : Exception
        lost : str
            A sentence: what there is not.
        """
        if self.errors == "raise":
            raise error
        if lost in self._said:
            return
        self._said.add(lost)
        why = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}."
        warnings.warn(f"{why} {lost}", RuntimeWarning, stacklevel=3)


#: What is lost if particles cannot be labeled, or no clusters found of them.
NO_LABELS = "All particles are labeled unknown until this changes."
NO_CLUSTERS = "No clusters are found until this changes."
#: What is lost if a logger cannot be given quantities of particles.
NO_QUANTITIES = "No quantities of particles are logged until this changes."


def no_frames(path: object) -> str:
    """Say what is lost if frames cannot be written to a file."""
    return f"No frames are written to {path} until this changes."

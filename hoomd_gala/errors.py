"""The exception for input that cannot be used."""


class InputError(ValueError):
    """Input that cannot be used; the message says what is wrong with it and what to do.

    The command line prints the message and exits with code 2.
    """


class NoEnvironmentsError(InputError):
    """A system that may be as it should be, and has no environments to label.

    It has too few particles, or two dimensions. Other frames of its trajectory may have more.
    """

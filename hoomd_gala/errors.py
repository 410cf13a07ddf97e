"""The exception for input that cannot be used."""


class InputError(ValueError):
    """Input that cannot be used; the message says what is wrong with it and what to do.

    The command line prints the message and exits with code 2.
    """

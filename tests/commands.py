"""Commands that must fail."""

from hoomd_gala.cli import main


def fails(capsys, *arguments):
    """Run a command that must fail, and return its one line of complaint."""
    assert main([str(argument) for argument in arguments]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("hoomd-gala: error: ")
    return error

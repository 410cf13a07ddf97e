"""What a program prints in a terminal."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios


def in_terminal(code, columns=80, **environment):
    """Text that Python code prints in a terminal of some width, with its colors."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    known = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "NO_COLOR")}
    environment = known | {"TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"} | environment
    with subprocess.Popen([sys.executable, "-c", code], stdout=theirs, env=environment) as child:
        os.close(theirs)
        text = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # what Linux says at the end
                break
            if not piece:
                break
            text += piece
    os.close(ours)
    assert child.returncode == 0
    return text.decode().replace("\r\n", "\n")

"""What is printed: bars, and colors where a terminal has them."""

import os
import shutil
import sys
import textwrap
from collections.abc import Mapping

from ..colors import Color, structure_color
from ..names import title
from ..results import DISORDERED, UNKNOWN, UNKNOWN_NAME

#: Eighths of a block, and what stands for a bar where these cannot be printed.
_EIGHTHS, _ASCII = " ▏▎▍▌▋▊▉█", "#"

#: Columns of the longest bar, and of the shortest that is worth its place.
_LONGEST, _SHORTEST = 40, 8

#: In the colors that text has: theirs would be invisible on white or black.
_COLORLESS = (DISORDERED, UNKNOWN_NAME)

#: What these words mean.
WORDS = {
    DISORDERED: "gas, liquid, glass, or a surface without order",
    UNKNOWN_NAME: "ordered, but like nothing that the model names, or uncertain",
    "solid": "neither of the two; a droplet is not 100 % solid, for its surface",
}


def columns() -> int:
    """Width of the terminal; 80 where there is none."""
    return shutil.get_terminal_size((80, 24)).columns


def has_colors() -> bool:
    """Whether standard output is a terminal with colors (https://no-color.org)."""
    return (
        sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    )


def _has_blocks() -> bool:
    try:
        _EIGHTHS.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def bar(share: float, width: int) -> str:
    """Draw a share of a width, in eighths of a column where these can be printed."""
    if not _has_blocks():
        return _ASCII * round(share * width)
    whole, eighths = divmod(round(share * width * 8), 8)
    return _EIGHTHS[-1] * whole + _EIGHTHS[eighths].strip()


def colored(text: str, color: Color) -> str:
    """Print a text in the closest of the 216 colors that most terminals have."""
    red, green, blue = (round(part * 5) for part in color)
    return f"\033[38;5;{16 + 36 * red + 6 * green + blue}m{text}\033[0m"


def fraction_lines(fractions: Mapping[str, float], numbered: bool = False) -> list[str]:
    """Lines of the structures that there are: common name, fraction and a bar for each.

    Parameters
    ----------
    fractions : mapping
        Of all structures by class, in the order of their labels.
    numbered : bool
        Whether to show the labels as well.
    """
    number = {name: k for k, name in enumerate(fractions)} | {UNKNOWN_NAME: UNKNOWN}
    shown = [item for item in sorted(fractions.items(), key=lambda item: -item[1]) if item[1] > 0]
    names = max((len(title(name)) for name, _ in shown), default=0)
    room = min(_LONGEST, columns() - names - 13 - 11 * numbered)
    in_color = has_colors()
    lines = []
    for name, share in shown:
        drawn = bar(share, room) if room >= _SHORTEST else ""
        if drawn and in_color and name not in _COLORLESS:
            drawn = colored(drawn, structure_color(name))
        label = f"  label {number[name]:<3}" if numbered else ""
        lines.append(f"  {title(name):{names}} {share:7.1%}{label}  {drawn}".rstrip())
    return lines


def paragraph(text: str) -> list[str]:
    """Lines of a text in a terminal, or of 80 columns at most."""
    return textwrap.wrap(text, min(columns(), 80), break_long_words=False, break_on_hyphens=False)


def steps(commands: Mapping[str, str]) -> list[str]:
    """Lines of what can be done next: commands, and what each is for."""
    if not commands:
        return []
    width = max(map(len, commands))
    if width + max(map(len, commands.values())) + 4 <= columns():
        return ["next:", *(f"  {name:{width}}  {text}" for name, text in commands.items())]
    return ["next:", *(f"  {name}\n    {text}" for name, text in commands.items())]

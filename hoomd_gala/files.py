"""Files that appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path to write to; it takes the place of ``path`` when the block succeeds.

    An interruption leaves what was at ``path`` untouched and at most a file ending in ``.part``
    beside it, which the next writer overwrites.
    """
    target = Path(path)
    part = target.with_name(target.name + ".part")
    yield part
    os.replace(part, target)

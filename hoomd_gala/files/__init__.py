"""Files: GSD trajectories, the labels in them, and models.

Reading a trajectory does not load torch; :mod:`hoomd_gala.files.models` does.
"""

from ..schema import decode_strings
from ..selection import fill
from .atomic import check_folder, check_new, check_writable, read_table, replacing, write_table
from .labels import (
    add_labels,
    as_written,
    encode_strings,
    frame_labels,
    restore_types,
    structures_as_types,
    types_so_far,
)
from .recovery import count_recoverable_frames, recover, trim
from .trajectories import append_frame, last_system, make_frame, open_trajectory, read_frame

__all__ = [
    "add_labels",
    "append_frame",
    "as_written",
    "check_folder",
    "check_new",
    "check_writable",
    "count_recoverable_frames",
    "decode_strings",
    "encode_strings",
    "fill",
    "frame_labels",
    "last_system",
    "make_frame",
    "open_trajectory",
    "read_frame",
    "read_table",
    "recover",
    "replacing",
    "restore_types",
    "structures_as_types",
    "trim",
    "types_so_far",
    "write_table",
]

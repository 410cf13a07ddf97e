"""Files: GSD trajectories, the labels in them, and models.

Reading a trajectory does not load torch; :mod:`hoomd_gala.files.models` does.
"""

from .labels import add_labels, decode_strings, encode_strings, frame_labels, restore_types
from .trajectories import append_frame, make_frame, open_trajectory, read_frame, recover, trim

__all__ = [
    "add_labels",
    "append_frame",
    "decode_strings",
    "encode_strings",
    "frame_labels",
    "make_frame",
    "open_trajectory",
    "read_frame",
    "recover",
    "restore_types",
    "trim",
]

"""All kinds of inputs that are damaged by chance, by name: each is a :class:`fuzzing.Kind`."""

import fuzzing_files
import fuzzing_gsd

KINDS = {"gsd": fuzzing_gsd.KIND} | fuzzing_files.KINDS

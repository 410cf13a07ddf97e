"""All kinds of inputs that are damaged by chance, by name."""

import fuzzing_gsd

KINDS = {"gsd": fuzzing_gsd.KIND}

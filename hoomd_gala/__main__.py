"""``python -m hoomd_gala``: the command line."""

import sys

from .cli import main

sys.exit(main())

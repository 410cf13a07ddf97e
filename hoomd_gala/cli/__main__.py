"""``python -m hoomd_gala.cli``: the command line."""

import sys

from . import main

sys.exit(main())

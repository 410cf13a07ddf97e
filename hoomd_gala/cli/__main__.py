"""``python -m hoomd_gala.cli``."""

import sys

from . import main

sys.exit(main())

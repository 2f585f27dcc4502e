"""`python -m acs_gym.cli` is `acs-gym`."""

import sys

from acs_gym.cli import main

sys.exit(main())

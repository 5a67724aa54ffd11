"""`python -m ropelab.cli <command>` is `ropelab <command>`."""

import sys

from ropelab.cli.main import main

sys.exit(main())

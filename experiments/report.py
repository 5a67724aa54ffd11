"""The same as `ropelab report --claims=experiments/papers/claims.py`."""

import sys

from experiments.papers.claims import TABLES
from ropelab.cli.report import main

if __name__ == "__main__":
    sys.exit(main(tables=TABLES))

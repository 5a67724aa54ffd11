"""Commands: `ropelab <command>`, one module per command, and their shared parts.

They may import all of ropelab; only launchers, papers and users' scripts import them.
"""

from ropelab.cli.main import COMMANDS, run_main

__all__ = ["COMMANDS", "run_main"]

"""The same as `ropelab sweep`."""

from ropelab.cli.main import run_main

if __name__ == "__main__":
    run_main("sweep")

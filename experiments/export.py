"""The same as `ropelab export`."""

from ropelab.cli.main import run_main

if __name__ == "__main__":
    run_main("export")

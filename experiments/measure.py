"""The same as `ropelab measure`."""

from ropelab.cli.main import run_main

if __name__ == "__main__":
    run_main("measure")

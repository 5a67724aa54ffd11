"""The same as `ropelab decoding`."""

from ropelab.cli.main import run_main

if __name__ == "__main__":
    run_main("decoding")

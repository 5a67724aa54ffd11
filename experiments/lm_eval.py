"""The same as `ropelab lm_eval`."""

from ropelab.cli.main import run_main

if __name__ == "__main__":
    run_main("lm_eval")

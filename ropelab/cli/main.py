"""`ropelab <command>`: a list of commands, of which only the one that runs is imported.

    ropelab swap --workdir=runs/swap
    python -m ropelab.cli swap --workdir=runs/swap      # the same, where the script is not on the path

In a clone `python -m experiments.swap` is the same command as well.
"""

import difflib
import importlib
import sys
from collections.abc import Sequence

COMMANDS = {
    "doctor": "Report installed packages and the JAX backend, and suggest fixes.",
    "swap": "Swap the encoding inside a pretrained model and measure perplexity by position.",
    "train": "Train a model from scratch, or extend a pretrained one.",
    "evaluate": "Perplexity, retrieval, RULER and attention of a model under encodings and patterns.",
    "measure": "Evaluate many trainings on held-out text of their data.",
    "decoding": "Compare one forward pass with decoding under length-dependent encodings.",
    "lm_eval": "Run tasks of lm-evaluation-harness under any encoding and pattern.",
    "generate": "Continue a prompt with a model whose encoding is swapped.",
    "export": "Write a training as a Hugging Face directory or a PEFT adapter.",
    "show": "Draw a pattern and its encodings: counts, scores, wavelengths, resolution.",
    "translate": "Translate a RoPE setting between llama.cpp, transformers, ExLlama and MaxText.",
    "check": "Check encodings against the contract.",
    "cross": "Compare every encoding under every pattern on every kernel with the formula.",
    "sweep": "Run many runs from one file, here or on a cluster.",
    "report": "Write the report of a sweep, an evaluation, a swap or trainings.",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; `argv` begins with the program's name."""
    words = list(sys.argv if argv is None else argv)[1:]
    if not words or words[0] in ("--help", "-h", "help"):
        print(_help_text())
        return 0 if words else 2
    if words[0] == "--version":
        from ropelab import __version__

        print(__version__)
        return 0
    name, *rest = words
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, n=1)
        meant = f" Did you mean {close[0]}?" if close else ""
        print(f"error: no command {name!r}.{meant} `ropelab --help` lists them", file=sys.stderr)
        return 2
    return importlib.import_module(f"ropelab.cli.{name}").main([name, *rest])


def run_main(command: str) -> None:
    """Run one command with the flags of this process, and exit with its code."""
    sys.exit(main(["ropelab", command, *sys.argv[1:]]))


def _help_text() -> str:
    width = max(map(len, COMMANDS)) + 2
    lines = [f"  {name:<{width}}{text}" for name, text in COMMANDS.items()]
    return "\n".join(["usage: ropelab <command> [--flag=value ...]", "", *lines, "", "ropelab <command> --help"])

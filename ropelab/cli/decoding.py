"""Compare one forward pass with decoding, under both semantics of a length-dependent encoding.

    python -m experiments.decoding --config=configs/decode_smollm2.py --workdir=runs/decoding

Measures the perplexity of the tokens from config.first to config.length for each encoding: `per="sequence"` in one full
forward pass and decoded token by token from the cache, and likewise `per="query"`. Written to the workdir: results.csv,
per_token.npz, receipts.json, config.json, report.md.
"""

import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ropelab import encodings
from ropelab import spec as specs
from ropelab.cli import launching
from ropelab.cli.launching import Config
from ropelab.cli.swap import PART
from ropelab.data.text import read_text
from ropelab.encodings import Encoding
from ropelab.encodings.user_module import parse_with_import
from ropelab.evaluation.decoded import Key, both_ways, records
from ropelab.evaluation.perplexity import split_documents
from ropelab.evaluation.protocol import Protocol
from ropelab.evaluation.variants import UNCHANGED, Variant
from ropelab.lab import load, tokens_of
from ropelab.models.parameters import fingerprint
from ropelab.reporting import files
from ropelab.reporting.decoding_table import decoding_report, print_decoding

DEFAULTS = {
    "model": "smollm2",
    "encodings": "DynamicPI(original_length=8192); DynamicNTK(factor=1.0, original_length=8192); "
    "DynamicYaRN(original_length=8192)",
    "first": 8192,
    "length": 9216,
    "text": "python-reference",
    "dtype": "float32",
    "kernel": "auto",
}
FIELDS = {
    "model": "smollm2, a .gguf file, a Hugging Face directory or hub id, or the folder of a training.",
    "encodings": "Length-dependent encodings, separated by ;.",
    "first": "Tokens before this position are the prompt.",
    "length": "Tokens of the text.",
    "text": "python-reference, python-stdlib, a UTF-8 file or a folder.",
    "dtype": "Type of parameters and computation; bfloat16 is slow on a CPU.",
    "kernel": "Attention kernel.",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; `argv` begins with the program's name."""
    return launching.run_with_config(run, "configs/decode_smollm2.py", argv, defaults=DEFAULTS, words=FIELDS)


def run(config: Config, workdir: Path, command: str) -> None:
    wanted = [length_dependent(text) for text in specs.split_list(config.encodings, ";")]
    if not 1 < config.first < config.length:
        raise ValueError(f"config.first={config.first} must be between 2 and config.length={config.length}")
    launching.warn_if_slow(config.dtype)
    text, lab = read_text(config.text), load(config.model, dtype=config.dtype)
    protocol = Protocol(
        model=lab.full_name,
        weights=fingerprint(lab.params),
        text=text.name,
        text_sha256=text.sha256,
        lengths=(config.length,),
        windows=1,
        edges=(config.first,),
        last=config.length - config.first,
        dtype=config.dtype,
        kernel=config.kernel,
        part=PART,
    )
    tokens_T = split_documents(tokens_of(lab, text.content), config.length, 1)[0]
    labs = {UNCHANGED: lab} | {repr(e): lab.swap(e, kernel=config.kernel) for pair in wanted for e in pair}
    files.write_json(workdir / "config.json", config.to_dict())
    receipts = {name: dataclasses.asdict(one.receipt()) for name, one in labs.items()}
    files.write_json(workdir / "receipts.json", receipts)
    arms = [Variant(name, one.model) for name, one in labs.items()]
    found = with_progress(arms, tokens_T, config.first, protocol, workdir / "measurements")
    archive = io.BytesIO()
    per_token: dict[str, Any] = {f"{arm}, {way}": nll for (arm, way), nll in found.items()}
    np.savez_compressed(archive, protocol=np.array(protocol.line()), **per_token)
    files.write(workdir / "per_token.npz", archive.getvalue())
    rows = records(found, f"[{config.first}, {config.length})", protocol)
    files.write_csv(workdir / "results.csv", rows)
    files.write(workdir / "report.md", decoding_report(rows, protocol.line(), command))
    print_decoding(rows, protocol.line())


def length_dependent(text: str) -> tuple[Encoding, Encoding]:
    """Parse a length-dependent encoding; return it with both semantics.

    Raises:
        ValueError: if it is not length-dependent.
    """
    encoding = parse_with_import(text)
    if not encoding.depends_on_length or not hasattr(encoding, "per"):
        known = ", ".join(sorted({type(e).__name__ for e in encodings.ALL if e.depends_on_length}))
        raise ValueError(f"{text!r} does not depend on the length of a text; give one of {known}")
    return encoding, dataclasses.replace(encoding, per="query")


def with_progress(
    arms: list[Variant], tokens_T: np.ndarray, first: int, protocol: Protocol, folder: Path
) -> dict[Key, np.ndarray]:
    """Call `both_ways` with a progress bar of tokens."""
    total = len(arms) * (2 * len(tokens_T) - 1 - first)
    with tqdm(total=total, unit="tok", dynamic_ncols=True) as bar:
        return both_ways(arms, tokens_T, first, protocol, folder, begin=bar.set_description, advance=bar.update)

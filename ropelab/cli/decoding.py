"""Perplexity beyond the trained length, read at once and decoded, under both meanings of a length-dependent encoding.

    python -m experiments.decoding --config=configs/decode_smollm2.py --workdir=runs/decoding

For each encoding, the tokens from config.first to config.length: `per="sequence"` in one full forward, the same decoded
token by token from the cache, `per="query"` in one full forward, and decoded. Written to the workdir: results.csv,
per_token.npz, receipts.json, config.json, report.md.
"""

import dataclasses
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from experiments import launch
from experiments.launch import Config
from experiments.swap import PART
from ropelab import encodings, spec
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

FIELDS = {
    "model": "smollm2, a .gguf file, a Hugging Face directory or hub id, or the folder of a training.",
    "encodings": "Length-dependent ones, separated by ;.",
    "first": "Tokens before this one are read as a prompt.",
    "length": "Tokens of the text that are scored.",
    "text": "python-reference, python-stdlib, a UTF-8 file or a folder.",
    "dtype": "Of the parameters and the computation; bfloat16 is slow on a CPU.",
    "kernel": "Of attention.",
}


def main(config: Config, workdir: Path, command: str) -> None:
    wanted = [length_dependent(text) for text in spec.split_list(config.encodings, ";")]
    if not 1 < config.first < config.length:
        raise ValueError(f"config.first={config.first} must lie between 2 and config.length={config.length}")
    launch.warn_if_slow(config.dtype)
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
    """The encoding that a text names, under both meanings.

    Raises:
        ValueError: if it has no two meanings.
    """
    encoding = parse_with_import(text)
    if not encoding.depends_on_length or not hasattr(encoding, "per"):
        known = ", ".join(sorted({type(e).__name__ for e in encodings.ALL if e.depends_on_length}))
        raise ValueError(f"{text!r} does not depend on the length of a text; give one of {known}")
    return encoding, dataclasses.replace(encoding, per="query")


def with_progress(
    arms: list[Variant], tokens_T: np.ndarray, first: int, protocol: Protocol, folder: Path
) -> dict[Key, np.ndarray]:
    """`both_ways` under a bar that counts tokens."""
    total = len(arms) * (2 * len(tokens_T) - 1 - first)
    with tqdm(total=total, unit="tok", dynamic_ncols=True) as bar:
        return both_ways(arms, tokens_T, first, protocol, folder, begin=bar.set_description, advance=bar.update)


if __name__ == "__main__":
    sys.exit(launch.run(main, "configs/decode_smollm2.py", words=FIELDS))

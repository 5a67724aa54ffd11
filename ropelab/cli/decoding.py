"""Compare one forward pass with decoding, under both semantics of a length-dependent encoding.

    python -m experiments.decoding --config=configs/decode_smollm2.py --workdir=runs/decoding

Measures the perplexity of the tokens from config.first to config.length for each encoding: `per="sequence"` in one full
forward pass and decoded token by token from the cache, and likewise `per="query"`. Written to the workdir:
records.jsonl and .csv, per_token.npz, receipts.json, config.json, report.md.
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
from ropelab.evaluation.by_position import Decoded, PositionSettings, make_decoding_records, measure_decoding
from ropelab.evaluation.perplexity import split_documents
from ropelab.evaluation.store import Store
from ropelab.evaluation.variants import UNCHANGED, Variant
from ropelab.lab import load, tokens_of
from ropelab.models.parameters import fingerprint
from ropelab.reporting import files
from ropelab.reporting.page import Facts, Page, Section, code
from ropelab.reporting.page_markdown import markdown
from ropelab.reporting.tables import decoding_table, print_table

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
    settings = PositionSettings(
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
    variants = [Variant(name, one.model) for name, one in labs.items()]
    measured = with_progress(variants, tokens_T, config.first, settings, Store(workdir / "measurements.jsonl"))
    archive = io.BytesIO()
    per_token: dict[str, Any] = {
        f"{one.variant.name}, {way}": nll
        for one in measured
        for way, nll in (("full forward", one.full), ("decoded", one.decoded))
    }
    np.savez_compressed(archive, protocol=np.array(settings.protocol().line()), **per_token)
    files.write(workdir / "per_token.npz", archive.getvalue())
    records = make_decoding_records(measured, config.first, settings)
    files.write_records(workdir / "records.jsonl", records)
    table = decoding_table(records)
    page = Page(table.title, [Section("Decoding", "", (), [table])], [Facts("Command", [("decoding", code(command))])])
    files.write(workdir / "report.md", markdown(page, {}))
    print_table(table)


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
    variants: list[Variant], tokens_T: np.ndarray, first: int, settings: PositionSettings, store: Store
) -> list[Decoded]:
    """Call `measure_decoding` with a progress bar of tokens."""
    total = len(variants) * (2 * len(tokens_T) - 1 - first)
    with tqdm(total=total, unit="tok", dynamic_ncols=True) as bar:
        begin, advance = bar.set_description, bar.update
        return list(measure_decoding(variants, tokens_T, first, settings, store, begin=begin, advance=advance))

"""Measuring arms so that an interrupted run goes on where it stopped.

Each pass, one document under one arm, is a file named by the hash of all that it depends on and written at once
when it is whole. A pass that is there is not measured again, whoever asks for it.
"""

import hashlib
import json
import os
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ropelab.encodings.user_module import source_modules
from ropelab.evaluation.perplexity import Score, document_nll, make_bands, score_band
from ropelab.evaluation.protocol import Protocol
from ropelab.evaluation.variants import Variant, group_lengths

# what NumPy and zlib raise for a file that was cut or changed
DAMAGES = (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error, NotImplementedError)


class Measured(NamedTuple):
    """One arm at one length.

    Attributes:
        nll: float32[windows, length - 1], entry t for token t + 1.
        seconds: what the pass took that answered it, compilation included, for `scored` tokens.
    """

    arm: Variant
    length: int
    nll: np.ndarray
    seconds: float
    scored: int


class Pass(NamedTuple):
    """One document under one arm, and the lengths that are answered by it."""

    arm: Variant
    length: int
    answers: tuple[int, ...]
    window: int


def plan(arms: list[Variant], protocol: Protocol) -> list[Pass]:
    """Every pass that the table needs, arm by arm."""
    return [
        Pass(arm, length, answers, window)
        for arm in arms
        for length, answers in group_lengths(arm, protocol.lengths).items()
        for window in range(protocol.windows)
    ]


def file_of(one: Pass, protocol: Protocol, folder: Path) -> Path:
    """Where a pass is kept."""
    wiring = one.arm.model.wiring
    chop = one.arm.window if one.arm.window and one.arm.window < one.length else None
    facts = [repr(wiring.encoding), repr(wiring.pattern), str(wiring.kernel), chop, one.length, one.window]
    facts += source_modules(wiring.encoding)
    digest = hashlib.sha256(json.dumps([protocol.settings(), *facts]).encode()).hexdigest()[:20]
    return folder / f"{digest}.npz"


def measure(
    arms: list[Variant],
    documents: np.ndarray,
    protocol: Protocol,
    folder: Path,
    *,
    begin: Callable[[Pass], object] = lambda one: None,
    advance: Callable[[int], object] = lambda tokens: None,
) -> list[Measured]:
    """All arms at all lengths, in the order of the arms.

    Args:
        documents: token ids [windows, longest length].
        folder: where passes are kept.
        begin, advance: told which pass begins and how many tokens were scored.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[tuple[str, int], list[tuple[np.ndarray, float]]] = {}
    for one in plan(arms, protocol):
        begin(one)
        nll, seconds = kept_or_measured(one, documents[one.window, : one.length], protocol, folder, advance)
        for length in one.answers:
            found.setdefault((one.arm.name, length), []).append((nll, seconds))
    return [gather(arm, length, found[arm.name, length]) for arm in arms for length in protocol.lengths]


def gather(arm: Variant, length: int, of_windows: list[tuple[np.ndarray, float]]) -> Measured:
    scored = sum(nll.size for nll, _ in of_windows)
    nll = np.stack([nll[: length - 1] for nll, _ in of_windows])
    return Measured(arm, length, nll, sum(seconds for _, seconds in of_windows), scored)


def known_beginning(one: Pass, protocol: Protocol, folder: Path) -> tuple[np.ndarray | None, float]:
    """What the first piece of a chopped document scores and took, where the same model has read the whole.

    The first piece is the whole's beginning, and its scores too unless the encoding looks at the length.
    """
    if one.arm.window is None or one.arm.model.wiring.encoding.depends_on_length:
        return None, 0.0
    whole = file_of(one._replace(arm=one.arm._replace(window=None)), protocol, folder)
    if not whole.is_file():
        return None, 0.0
    nll, seconds = kept_pass(whole)
    beginning = nll[: one.arm.window - 1]
    return beginning, seconds * beginning.size / nll.size


def kept_pass(path: Path) -> tuple[np.ndarray, float]:
    """`(nll, seconds)` of a file that `keep` wrote, 0 seconds where it has none.

    Raises:
        ValueError: if it is damaged, naming it.
    """
    try:
        with np.load(path, allow_pickle=False) as kept:
            return kept["nll"], float(kept["seconds"]) if "seconds" in kept else 0.0
    except PermissionError:
        raise
    except DAMAGES as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(
            f"{path} is damaged ({said:.200}); remove it, and the same command measures it again"
        ) from None


def keep(path: Path, **arrays: Any) -> None:
    """Write arrays as one file that is whole or not there, under a name of this process until then.

    What killed processes left of the same pass is removed; a process that is writing it still then finds it done.
    """
    partial = path.with_name(f"{path.stem}.{os.getpid()}.partial.npz")
    try:
        np.savez(partial, **arrays)
        os.replace(partial, path)
    except FileNotFoundError:
        if not path.is_file():
            raise
    finally:
        for remains in path.parent.glob(f"{path.stem}.*.partial.npz"):
            remains.unlink(missing_ok=True)


def kept_or_measured(
    one: Pass, tokens_T: np.ndarray, protocol: Protocol, folder: Path, advance: Callable[[int], object]
) -> tuple[np.ndarray, float]:
    """`(nll, seconds)` of one pass."""
    path = file_of(one, protocol, folder)
    if path.is_file():
        nll, seconds = kept_pass(path)
        advance(one.length - 1)
        return nll, seconds
    beginning, seconds = known_beginning(one, protocol, folder)
    start = time.perf_counter()
    nll = document_nll(one.arm.model, tokens_T, window=one.arm.window, beginning=beginning, advance=advance)
    seconds += time.perf_counter() - start
    keep(path, nll=nll, seconds=seconds)
    return nll, seconds


def records(measured: list[Measured], protocol: Protocol) -> list[dict[str, Any]]:
    """One record for each arm, length and band."""
    rows = []
    for one in measured:
        wiring = one.arm.model.wiring
        for band in make_bands(protocol.edges, one.length, protocol.last):
            total = sum((score_band(nll_T, band) for nll_T in one.nll), start=Score(0.0, 0))
            rows.append(
                {
                    "arm": one.arm.name,
                    "encoding": repr(wiring.encoding),
                    "pattern": repr(wiring.pattern),
                    "length": one.length,
                    "band": band.name,
                    "first": band.first,
                    "last": band.last,
                    "tokens": total.tokens,
                    "nll": round(total.mean, 6),
                    "perplexity": round(total.perplexity, 4),
                    "tokens_per_second": round(one.scored / one.seconds, 1),
                    "protocol": protocol.line(),
                }
            )
    return rows

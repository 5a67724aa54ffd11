"""What is said of each step: a row of `metrics`, a look at the clock, an end when too many batches were left out.

The figures of a step are read when the next one is under way, so that the device never waits for them.
"""

import hashlib
import resource
import sys
import time
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from ropelab.data.batch import Batch
from ropelab.training.guard import Guard
from ropelab.training.records import Records
from ropelab.training.step import Happened

SPEED_EVERY = 20  # steps


class Diverged(Exception):
    """So many batches in a row could not be taken."""


class Reporter:
    """Follows a training from step to step.

    Attributes:
        tokens: predictions that were trained on so far.
    """

    def __init__(self, records: Records, guard: Guard, bar: tqdm, *, tokens: int, peak: float):
        self.records, self.guard, self.bar, self.tokens, self.peak = records, guard, bar, tokens, peak
        self._waiting: tuple[int, Happened, Batch, float] | None = None
        self.rest()

    def happened(self, step: int, figures: Happened, batch: Batch, flops: float) -> None:
        """A step was begun: `figures` are on their way. `batch` is the whole one or this process's rows."""
        self.flush()
        self._waiting = (step, figures, batch, flops)

    def flush(self) -> None:
        """Write down the step that was begun last.

        Raises:
            Diverged: if it was the last of too many that were left out.
        """
        if self._waiting is None:
            return
        step, figures, batch, flops = self._waiting
        self._waiting = None
        found = jax.device_get(figures)
        self.tokens += int(found.tokens)
        loss, norm = float(found.loss), float(found.norm)
        row = {
            "step": step,
            "loss": loss,
            "grad_norm": norm,
            "lr": float(found.lr),
            "tokens": self.tokens,
            "skipped": int(found.skipped),
        }
        self.records.add("metrics", row)
        self.bar.update()
        self.bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
        if not found.taken:
            self.skipped(step, loss, norm, batch, int(found.in_a_row))
        self.clock(step, int(found.tokens), flops)

    def skipped(self, step: int, loss: float, norm: float, batch: Batch, in_a_row: int) -> None:
        digest = hashlib.sha256(np.ascontiguousarray(batch.tokens).tobytes()).hexdigest()[:12]
        self.records.add("skipped", {"step": step, "loss": loss, "grad_norm": norm, "batch": digest})
        if in_a_row >= self.guard.stop_after:
            raise Diverged(
                f"{in_a_row} batches in a row were left out, the last at step {step} (tokens {digest}, loss {loss}, "
                f"gradient {norm}); see skipped.csv. Lower optimizer.lr, lengthen optimizer.warmup or look at the data"
            )

    def pause(self) -> None:
        """Write down the step that was begun last, and the speed of those since the last look at the clock: what comes
        next is no training. Without this a run that measures every 10 steps would have no speed at all."""
        self.flush()
        if self._steps:
            self.look()

    def rest(self) -> None:
        """Start the clock anew: what came before was no training."""
        self._since, self._steps, self._tokens, self._flops = time.perf_counter(), 0, 0, 0.0

    def clock(self, step: int, tokens: int, flops: float) -> None:
        self._steps, self._tokens, self._flops = self._steps + 1, self._tokens + tokens, self._flops + flops * tokens
        self._step = step
        if self._steps >= SPEED_EVERY:
            self.look()

    def look(self) -> None:
        """Write down the speed since the last look."""
        seconds = time.perf_counter() - self._since
        mfu = self._flops / seconds / self.peak
        row = {
            "step": self._step,
            "seconds": round(seconds, 3),
            "tokens_per_second": round(self._tokens / seconds, 1),
            "mfu": round(mfu, 4) if mfu == mfu else None,
            "peak_memory_gib": round(peak_memory() / 2**30, 3),
        }
        self.records.add("speed", row)
        self.bar.set_postfix_str(f"{row['tokens_per_second']:.0f} tok/s", refresh=False)
        self.rest()


def peak_memory() -> float:
    """Bytes at the worst moment so far: of the fullest device, or of the process where devices do not say."""
    known: list[Any] = [device.memory_stats() for device in jax.local_devices()]
    if all(known):
        return float(max(stats.get("peak_bytes_in_use", 0) for stats in known))
    unit = 1 if sys.platform == "darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)

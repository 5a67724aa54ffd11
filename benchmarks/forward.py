"""SmolLM2 forward, float32, two threads: ropelab and transformers + torch sdpa in turn, beside the machine's GEMM rate.

    python -m pip install torch transformers accelerate && python -m benchmarks.forward

Both score the same random tokens from the same dequantised weights: hidden states, all logits, and the NLL of each
token (ropelab never holds the logits; transformers does). Runs alternate A B A B, the minimum of each is quoted, and
`--peer=none` measures ropelab alone. Flops: 2 per multiply-add of every matrix, attention counted for the causal half.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

THREADS = 2
Run = Callable[[np.ndarray], object]


class Timing(NamedTuple):
    """Seconds of each run."""

    seconds: list[float]

    @property
    def best(self) -> float:
        return min(self.seconds)


def flops(config: Any, length: int) -> float:
    """Multiply-adds of one forward pass over `length` tokens, twice."""
    attention = (
        2 * config.width * config.heads * config.head_dim + 2 * config.width * config.key_heads * config.head_dim
    )
    per_token = config.layers * (attention + 3 * config.width * config.feed_forward) + config.width * config.vocabulary
    causal = config.layers * length * config.heads * config.head_dim  # q k and p v, half of the square
    return 2.0 * length * (per_token + causal)


def gemm_rate(size: int = 4096) -> dict[str, float]:
    """GFLOP/s of one large float32 product, by jax and by numpy's BLAS."""
    import jax
    import jax.numpy as jnp

    a = np.random.default_rng(0).standard_normal((size, size), np.float32)
    on_device, multiply = jnp.asarray(a), jax.jit(lambda x: x @ x)
    rate = 2 * size**3 / 1e9
    jax_best = min(clock(lambda _: jax.block_until_ready(multiply(on_device)), a) for _ in range(4))
    return {"jax": rate / jax_best, "numpy": rate / min(clock(lambda x: x @ x, a) for _ in range(4))}


def clock(run: Run, tokens: np.ndarray) -> float:
    start = time.perf_counter()
    run(tokens)
    return time.perf_counter() - start


def ours() -> tuple[Any, Run]:
    """`(config, nll of each token)`."""
    import ropelab

    lab = ropelab.load("smollm2")
    return lab.config, lambda tokens: np.asarray(lab.nll(tokens))


def theirs() -> Run:
    """transformers with torch sdpa on the same file; its logits, log-softmax and gather."""
    import torch
    from transformers import AutoModelForCausalLM

    from ropelab.checkpoints.locate import find_smollm2

    torch.set_num_threads(THREADS)
    path = find_smollm2()
    model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    model.eval()

    def run(tokens: np.ndarray) -> object:
        ids = torch.from_numpy(tokens.astype(np.int64))
        with torch.no_grad():
            logits = model(ids, use_cache=False).logits[0, :-1]
            return torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="none").numpy()

    return run


def compare(length: int, repeats: int, our: Run, peer: Run | None, config: Any, gemm: dict[str, float]) -> None:
    """One row of the table, runs interleaved after a warm-up of each."""
    tokens = np.random.default_rng(0).integers(0, config.vocabulary, (1, length))
    runs = {"ropelab": our} | ({"transformers": peer} if peer else {})
    for run in runs.values():
        run(tokens)
    times = {name: Timing([]) for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            times[name].seconds.append(clock(run, tokens))
    rate = flops(config, length) / times["ropelab"].best / 1e9
    row = [f"{length:6d} tokens"]
    row += [
        f"{name} {length / t.best:6.1f} tok/s ({min(t.seconds):.2f}-{max(t.seconds):.2f} s)"
        for name, t in times.items()
    ]
    if peer:
        row.append(f"ratio {times['transformers'].best / times['ropelab'].best:.2f}x")
    row.append(
        f"{rate:.0f} GFLOP/s = " + ", ".join(f"{100 * rate / g:.0f} % of {name}'s GEMM" for name, g in gemm.items())
    )
    print("; ".join(row), flush=True)


def peak_memory(length: int) -> None:
    """Resident peak of a fresh process that loads the model and computes one NLL."""
    pid = os.fork()
    if pid == 0:
        config, run = ours()
        run(np.random.default_rng(0).integers(0, config.vocabulary, (1, length)))
        os._exit(0)
    _, _, usage = os.wait4(pid, 0)
    print(f"{length:6d} tokens; peak memory of loading and one NLL: {usage.ru_maxrss / 1e6:.2f} GB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", default="2048,8192")
    parser.add_argument("--memory", default="8192,16384", help="lengths whose peak memory is measured; empty for none")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peer", choices=("transformers", "none"), default="transformers")
    args = parser.parse_args()
    for length in filter(None, args.memory.split(",")):
        peak_memory(int(length))
    gemm = gemm_rate()
    print("GEMM 4096: " + ", ".join(f"{name} {rate:.0f} GFLOP/s" for name, rate in gemm.items()))
    config, our = ours()
    peer = theirs() if args.peer == "transformers" else None
    for length in filter(None, args.lengths.split(",")):
        compare(int(length), args.repeats, our, peer, config, gemm)


if __name__ == "__main__":
    sys.exit(main())

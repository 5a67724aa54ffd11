"""What attention costs on a CPU: ALiBi beside torch's sdpa with a mask, and how dilated attention grows with the text.

    python -m pip install torch && python -m benchmarks.attention

Float32, batch 1, 8 heads of 64, two threads. Runs alternate and the minimum of each is quoted. Temporaries are XLA's
own count of the compiled program (`memory_analysis`), beside inputs and outputs. The mask of torch's sdpa is made
beforehand and not timed; torch's eager form, the scores of all pairs at once, is counted and not run. `--peer=none`
leaves torch out.

Dilated attention has the branches 2048 4^i at rate 4^i that fit the text; slopes are those of a line through the
logarithms, and "dense" is our own blockwise kernel under Causal.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from benchmarks.forward import THREADS
from experiments.papers.longnet.runtime import fastest
from ropelab.attention import Causal, Dilated, Pattern, attend
from ropelab.attention.registry import Kernel
from ropelab.encodings import ALiBi, Encoding, NoPE

N, H = 8, 64
FIRST, RATIO = 2048, 4
MIB = 2**20


class Program(NamedTuple):
    """A compiled call and the bytes of its temporaries."""

    run: Callable[[], object]
    temporaries: int


def arrays(T: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(T)
    return tuple(rng.standard_normal((1, T, N, H), np.float32) for _ in range(3))


def program(
    encoding: Encoding, pattern: Pattern, T: int, *, backward: bool, kernel: str | Kernel = "blockwise"
) -> Program:
    """Forward, or forward and backward, of `attend`, ready to run."""

    def forward(q: Array, k: Array, v: Array) -> Array:
        return attend(q, k, v, encoding=encoding, pattern=pattern, kernel=kernel)[0]

    function = jax.grad(lambda *qkv: jnp.sum(forward(*qkv)), (0, 1, 2)) if backward else forward
    qkv = [jnp.asarray(x) for x in arrays(T)]
    compiled = jax.jit(function).lower(*qkv).compile()
    memory: Any = compiled.memory_analysis()
    return Program(lambda: jax.block_until_ready(compiled(*qkv)), memory.temp_size_in_bytes)


def sdpa(T: int, *, backward: bool) -> Callable[[], object]:
    """torch's scaled_dot_product_attention with ALiBi and causality in one prebuilt mask [1, N, T, T]."""
    import torch

    torch.set_num_threads(THREADS)
    slopes = 2.0 ** (-8 * torch.arange(1, N + 1) / N)
    distance = (torch.arange(T)[:, None] - torch.arange(T)[None, :]).float()
    mask = torch.where(distance >= 0, -slopes[:, None, None] * distance, -torch.inf)[None]
    q, k, v = (torch.from_numpy(x).transpose(1, 2).contiguous().requires_grad_(backward) for x in arrays(T))

    def run() -> object:
        with torch.set_grad_enabled(backward):
            out = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
            return torch.autograd.grad(out.sum(), (q, k, v)) if backward else out

    return run


def with_bias(T: int, repeats: int, peer: str) -> None:
    """ALiBi forward, and forward with backward."""
    for name, backward in (("forward", False), ("forward and backward", True)):
        mine = program(ALiBi(), Causal(), T, backward=backward)
        runs = {"ropelab": mine.run} | ({"torch": sdpa(T, backward=backward)} if peer == "torch" else {})
        found = fastest(runs, repeats)
        words = [f"{who} {1e3 * seconds:.0f} ms" for who, seconds in found.items()]
        words += [f"ratio {found['torch'] / found['ropelab']:.2f}x"] if "torch" in found else []
        print(
            f"ALiBi, {T} tokens, {name}: {'; '.join(words)}; temporaries {mine.temporaries / MIB:.0f} MiB", flush=True
        )


def memory_with_bias(T: int) -> None:
    mine = program(ALiBi(), Causal(), T, backward=True)
    eager = N * T * T * 4
    print(
        f"ALiBi, {T} tokens, forward and backward: temporaries {mine.temporaries / MIB:.0f} MiB; "
        f"one [N, T, T] of torch's eager form {eager / 1e9:.1f} GB",
        flush=True,
    )


def geometric(T: int) -> Dilated:
    """The branches that are no longer than the text."""
    count = 1
    while FIRST * RATIO**count <= T:
        count += 1
    return Dilated(segments=tuple(FIRST * RATIO**i for i in range(count)), rates=tuple(RATIO**i for i in range(count)))


def growth(name: str, pattern_of: Callable[[int], Pattern], lengths: Sequence[int], repeats: int) -> dict[int, float]:
    """Seconds of a forward pass at each length, printed with the slopes of time and of temporaries."""
    seconds, temporaries = {}, {}
    for T in lengths:
        mine = program(NoPE(), pattern_of(T), T, backward=False)
        seconds[T], temporaries[T] = fastest({name: mine.run}, repeats)[name], mine.temporaries
        print(f"{name}, {T:6d} tokens: {seconds[T]:.3f} s, temporaries {temporaries[T] / MIB:.0f} MiB", flush=True)
    words = (f"{what} {slope(values):.2f}" for what, values in (("time", seconds), ("temporaries", temporaries)))
    print(f"{name}: log-log slope of {', of '.join(words)}", flush=True)
    return seconds


def slope(values: dict[int, Any]) -> float:
    return float(np.polyfit(np.log(list(values)), np.log(list(values.values())), 1)[0])


def at_once(T: int, repeats: int) -> None:
    """Dilated against dense by turns at one length."""
    patterns = {"dilated": geometric(T), "dense": Causal()}
    runs = {name: program(NoPE(), p, T, backward=False).run for name, p in patterns.items()}
    found = fastest(runs, repeats)
    words = "; ".join(f"{name} {seconds:.2f} s" for name, seconds in found.items())
    print(f"{T} tokens: {words}; ratio {found['dense'] / found['dilated']:.1f}x", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", choices=("torch", "none"), default="torch")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--bias", type=int, default=4096, help="tokens of the comparison with torch")
    parser.add_argument("--memory", type=int, default=16384, help="tokens of the memory row")
    parser.add_argument("--dilated", default="4096,8192,16384,32768,65536,131072,262144")
    parser.add_argument("--dense", default="4096,8192,16384,32768")
    parser.add_argument("--both", type=int, default=32768, help="where dilated and dense run by turns")
    args = parser.parse_args()
    with_bias(args.bias, args.repeats, args.peer)
    memory_with_bias(args.memory)
    few = partial(max, 2)
    for name, pattern_of, lengths in (("dilated", geometric, args.dilated), ("dense", lambda _: Causal(), args.dense)):
        growth(name, pattern_of, [int(T) for T in lengths.split(",")], few(args.repeats // 2))
    at_once(args.both, few(args.repeats // 2))


if __name__ == "__main__":
    sys.exit(main())

"""Attention on one H100 or H200, bfloat16: our entry beside torch's SDPA and FlexAttention; dilated attention's slope.

    python -m pip install "jax[cuda13]" torch && python -m benchmarks.gpu --row=plain      (or alibi, dilated, all)

    plain     causal, no bias: attend(kernel=cudnn), jax.nn's cuDNN called directly, torch SDPA
    alibi     attend(kernel=cudnn) with the bias as head dimensions, attend(kernel="blockwise"), torch FlexAttention
              compiled, and SDPA with a dense mask, which is made beforehand and not timed
    dilated   forward of LongNet's branches 2048 4^i at rate 4^i beside our own causal attention, 1M tokens in all

Forward and forward + backward, runs in turn, medians. Flops: 2 N T^2 H forward for the causal half, 3.5 times that with
the backward pass, whatever a kernel does; the rate of a large product stands beside them. A peer that does not fit is
printed with its error. `--tiny` runs the same programs at a few hundred tokens on any machine, jax.nn's xla in place of
cuDNN: it checks this file and measures nothing. None of this has been run on a GPU yet.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # torch needs its share of the memory

Run = Callable[[], object]
FIRST, RATIO, BRANCHES = 2048, 4, 4


class Size(NamedTuple):
    """What is the same in all rows."""

    heads: int
    head_dim: int
    repeats: int
    tiny: bool
    peer: bool

    def flops(self, batch: int, length: int, *, backward: bool) -> float:
        return 2.0 * batch * self.heads * length**2 * self.head_dim * (3.5 if backward else 1.0)


def arrays(size: Size, batch: int, length: int) -> list[Any]:
    """q, k and v as BTNH."""
    import jax
    import jax.numpy as jnp

    shape = batch, length, size.heads, size.head_dim
    return [jax.random.normal(key, shape, jnp.bfloat16) for key in jax.random.split(jax.random.key(0), 3)]


def by_jax(call: Callable[..., Any], qkv: list[Any], *, backward: bool) -> Run:
    """A compiled call of attention; with its gradients if asked for."""
    import jax
    import jax.numpy as jnp

    def summed(*qkv: Any) -> Any:
        return jnp.sum(call(*qkv).astype(jnp.float32))

    compiled = jax.jit(jax.value_and_grad(summed, (0, 1, 2)) if backward else call).lower(*qkv).compile()
    return lambda: jax.block_until_ready(compiled(*qkv))


def entry(encoding: Any, pattern: Any, kernel: Any) -> Callable[..., Any]:
    """`out` of `attend`."""
    from ropelab.attention import attend

    return lambda q, k, v: attend(q, k, v, encoding=encoding, pattern=pattern, kernel=kernel)[0]


def fused_kernel(size: Size) -> Any:
    """cuDNN; its wrapper around jax.nn's xla where there is no GPU."""
    from ropelab.attention.kernels.fused import cudnn, fused, make_jax_nn

    return partial(fused, make_jax_nn("xla")) if size.tiny else partial(cudnn, in_order=True)


def direct(size: Size) -> Callable[..., Any]:
    import jax

    implementation: Any = "xla" if size.tiny else "cudnn"
    return partial(jax.nn.dot_product_attention, is_causal=True, implementation=implementation)


def by_torch(size: Size, length: int, make: Callable[[], Callable[..., Any]], *, backward: bool) -> Run:
    """A call of torch on q, k and v as BNTH; `make` makes it, where its errors are caught."""
    import torch

    attention, where = make(), "cpu" if size.tiny else "cuda"
    shape = 1, size.heads, length, size.head_dim
    qkv = [torch.randn(shape, dtype=torch.bfloat16, device=where, requires_grad=backward) for _ in range(3)]

    def run() -> None:
        with torch.set_grad_enabled(backward):
            out = attention(*qkv)
            if backward:
                torch.autograd.grad(out.float().sum(), qkv)
        if not size.tiny:
            torch.cuda.synchronize()

    return run


def sdpa(size: Size, length: int, slopes: np.ndarray | None = None) -> Callable[..., Any]:
    """torch's scaled_dot_product_attention, causal; with ALiBi as one dense mask [1, N, T, T] if slopes are given."""
    import torch

    call = torch.nn.functional.scaled_dot_product_attention
    if slopes is None:
        return partial(call, is_causal=True)
    where = "cpu" if size.tiny else "cuda"
    pos = torch.arange(length, device=where)
    distance = (pos[:, None] - pos).to(torch.bfloat16)
    m = torch.tensor(slopes, dtype=torch.bfloat16, device=where)[:, None, None]
    return partial(call, attn_mask=torch.where(distance < 0, -torch.inf, -m * distance)[None])


def flex(size: Size, length: int, slopes: np.ndarray) -> Callable[..., Any]:
    """torch's FlexAttention, compiled, with the bias as its score function."""
    import torch
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    where = "cpu" if size.tiny else "cuda"
    compiled = (lambda function: function) if size.tiny else torch.compile
    m = torch.tensor(slopes, dtype=torch.float32, device=where)
    mask = compiled(create_block_mask)(lambda b, h, i, j: i >= j, None, None, length, length, device=where)
    return partial(compiled(flex_attention), score_mod=lambda s, b, h, i, j: s - m[h] * (i - j), block_mask=mask)


def compare(title: str, flops: float, makers: dict[str, Callable[[], Run]], repeats: int) -> dict[str, float]:
    """Seconds of each by name, runs in turn after a warm-up; what cannot be made or run is printed with its reason."""
    runs, times = {}, {}
    for name, make in makers.items():
        try:
            run = make()
            run()
            runs[name], times[name] = run, []
        except (RuntimeError, ImportError, ValueError) as error:  # out of memory, no torch, or an illegal kernel
            print(f"{title}; {name}: {type(error).__name__}: {str(error).splitlines()[0][:160]}", flush=True)
    for _ in range(repeats):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    row = [f"{name} {1e3 * s:.2f} ms = {flops / s / 1e12:.1f} TFLOP/s" for name, s in medians.items()]
    print("; ".join([title, *row]), flush=True)
    return medians


def both_ways(title: str, size: Size, length: int, makers: dict[str, Callable[..., Run]]) -> None:
    """Forward, and forward with backward."""
    for backward in (False, True):
        now = {name: partial(make, backward=backward) for name, make in makers.items()}
        which = "forward + backward" if backward else "forward"
        compare(f"{title} {length} {which}", size.flops(1, length, backward=backward), now, size.repeats)


def plain(size: Size, lengths: Sequence[int]) -> None:
    from ropelab.attention import Causal
    from ropelab.encodings import NoPE

    for length in lengths:
        qkv = arrays(size, 1, length)
        makers: dict[str, Callable[..., Run]] = {
            "attend, cudnn": partial(by_jax, entry(NoPE(), Causal(), fused_kernel(size)), qkv),
            "jax.nn, cudnn": partial(by_jax, direct(size), qkv),
        }
        if size.peer:
            makers["torch sdpa"] = partial(by_torch, size, length, partial(sdpa, size, length))
        both_ways("plain", size, length, makers)


def alibi(size: Size, lengths: Sequence[int]) -> None:
    from ropelab.attention import Causal
    from ropelab.encodings import ALiBi

    slopes = ALiBi().linear_slopes(size.heads)
    for length in lengths:
        qkv = arrays(size, 1, length)
        makers: dict[str, Callable[..., Run]] = {
            "attend, cudnn, low rank": partial(by_jax, entry(ALiBi(), Causal(), fused_kernel(size)), qkv),
            "attend, blockwise": partial(by_jax, entry(ALiBi(), Causal(), "blockwise"), qkv),
        }
        for name, peer in {"torch flex": flex, "torch sdpa, dense mask": sdpa}.items() if size.peer else ():
            makers[name] = partial(by_torch, size, length, partial(peer, size, length, slopes))
        both_ways("alibi", size, length, makers)


def dilated(size: Size, lengths: Sequence[int]) -> None:
    """Time for each token of the longest text, and the slope of its logarithm against that of the length, per text."""
    from ropelab.attention import Causal, Dilated
    from ropelab.encodings import NoPE

    first = FIRST // 32 if size.tiny else FIRST
    seconds = []
    for length in lengths:
        batch = max(lengths) // length
        branches = [(first * RATIO**i, RATIO**i) for i in range(BRANCHES) if first * RATIO**i <= length]
        pattern = Dilated(segments=tuple(w for w, _ in branches), rates=tuple(r for _, r in branches))
        flops = sum(2.0 * batch * size.heads * size.head_dim * length * w / r**2 for w, r in branches)
        qkv = arrays(size, batch, length)
        makers = {"dilated": partial(by_jax, entry(NoPE(), pattern, "blockwise"), qkv, backward=False)}
        if length * 8 <= max(lengths) or size.tiny:  # at 1M the causal triangle takes minutes
            makers["causal, cudnn"] = partial(by_jax, entry(NoPE(), Causal(), fused_kernel(size)), qkv, backward=False)
        found = compare(f"dilated {batch} x {length}", flops, makers, size.repeats)
        seconds.append(found["dilated"] / batch)
    if len(lengths) > 1:
        slope = np.polyfit(np.log(lengths), np.log(seconds), 1)[0]
        print(f"dilated: time of one text grows as length^{slope:.3f}")


def gemm_rate(width: int) -> float:
    """FLOP/s of one large bfloat16 product."""
    import jax
    import jax.numpy as jnp

    a, multiply = jnp.ones((width, width), jnp.bfloat16), jax.jit(lambda x: x @ x)
    run = partial(lambda: jax.block_until_ready(multiply(a)))
    run()
    seconds = []
    for _ in range(10):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return 2 * width**3 / min(seconds)


ROWS = {
    "plain": (plain, (16384, 131072)),
    "alibi": (alibi, (16384, 65536)),
    "dilated": (dilated, tuple(8192 * 2**i for i in range(8))),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--row", choices=(*ROWS, "all"), default="all")
    parser.add_argument("--heads", type=int, default=16)
    parser.add_argument("--head_dim", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--peer", choices=("torch", "none"), default="torch")
    parser.add_argument("--tiny", action="store_true")
    args = parser.parse_args()
    import jax

    if not args.tiny and jax.default_backend() != "gpu":
        sys.exit(f"benchmarks.gpu needs a GPU and jax is on {jax.default_backend()}; --tiny checks this file")
    size = Size(args.heads, args.head_dim, args.repeats, args.tiny, args.peer == "torch")
    if args.tiny:
        size = size._replace(heads=4, head_dim=16, repeats=1)
    rate = gemm_rate(256 if args.tiny else 8192)
    stand_in = "; tiny: for cudnn read jax.nn's xla" if args.tiny else ""
    print(
        f"{jax.devices()[0].device_kind}, jax {jax.__version__}; bfloat16 product {rate / 1e12:.1f} TFLOP/s{stand_in}"
    )
    for row in ROWS if args.row == "all" else (args.row,):
        measure, lengths = ROWS[row]
        measure(size, [length // 128 for length in lengths[:2]] if args.tiny else lengths)


if __name__ == "__main__":
    sys.exit(main())

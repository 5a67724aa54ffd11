"""What the shape of a block and the form of a product cost the blockwise kernel on a CPU.

    python -m benchmarks.blocks

Float32, batch 1, 8 heads of 64, ALiBi under Causal. First forward and backward of the whole kernel for each block of
queries x keys; then, for one block, the backward pass of q . k as jax derives it and as the kernel writes it, per
score. Runs alternate and the minimum of each is quoted.
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from benchmarks.attention import H, N, fastest, program
from ropelab.attention import Causal
from ropelab.attention.kernels.blockwise import blockwise
from ropelab.attention.kernels.blockwise_gradient import multiply_qk_with_gradient
from ropelab.encodings import ALiBi
from ropelab.encodings.scoring import multiply_qk

SHAPES = ((256, 256), (256, 512), (512, 128), (512, 256), (512, 512), (1024, 256))


def with_block(T: int, block: tuple[int, int], *, backward: bool) -> Callable[[], object]:
    return program(ALiBi(), Causal(), T, backward=backward, kernel=partial(blockwise, block=block)).run


def pull(form: Callable[[Array, Array], Array], rows: int, columns: int) -> Callable[[], object]:
    """dq and dk of one block's products."""
    rng = np.random.default_rng(0)
    q, k, ds = (
        jnp.asarray(rng.standard_normal((1, N, *shape), np.float32))
        for shape in ((rows, H), (columns, H), (rows, columns))
    )
    compiled = jax.jit(lambda q, k, ds: jax.vjp(form, q, k)[1](ds)).lower(q, k, ds).compile()
    return lambda: jax.block_until_ready(compiled(q, k, ds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    for name, backward in (("forward", False), ("forward and backward", True)):
        runs = {f"{r} x {c}": with_block(args.tokens, (r, c), backward=backward) for r, c in SHAPES}
        words = (f"{shape}: {1e3 * s:.0f} ms" for shape, s in fastest(runs, args.repeats).items())
        print(f"{args.tokens} tokens, {name}: {'; '.join(words)}", flush=True)
    rows, columns = 512, 256
    forms = {
        "as jax derives it": pull(multiply_qk, rows, columns),
        "ours": pull(multiply_qk_with_gradient, rows, columns),
    }
    scores = N * rows * columns
    words = (f"{name} {1e9 * s / scores:.2f} ns" for name, s in fastest(forms, 20 * args.repeats).items())
    print(f"dq and dk of a block of {rows} x {columns}, per score: {'; '.join(words)}")


if __name__ == "__main__":
    sys.exit(main())

"""The programs that ropelab compiles, at the size of a tiny model: a training step, its losses, evaluation, decoding.

    python -m tests.programs      prints how many fusions with a product and a reduction each program has

Each entry is a jitted function with its arguments, ready to be traced or compiled.
"""

import re
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import ropelab  # noqa: F401  before jax: it guards the CPU backend
from ropelab import models
from ropelab.attention import Causal, attend
from ropelab.data.batch import Batch
from ropelab.encodings import ALiBi, RoPE
from ropelab.models import compiled, decoding
from ropelab.models.config import Wiring
from ropelab.models.module import from_scratch
from ropelab.models.stack import empty_cache
from ropelab.training.lora import Full
from ropelab.training.optimizer import Optimizer
from ropelab.training.step import BatchFields, SkipConfig, StepConfig, init_state, nll_by_row, train_step

MODEL = (
    "LlamaConfig(vocabulary=64, width=32, layers=2, heads=4, key_heads=2, head_dim=8, feed_forward=64, "
    "norm_eps=1e-5, trained_length=64, tied_head=True)"
)
B, T = 2, 64
CONFIG = models.parse(MODEL)


class Program(NamedTuple):
    """A jitted function and its arguments, static ones bound."""

    function: Any
    arguments: tuple


def programs(dtype: str = "float32") -> Iterator[tuple[str, Program]]:
    """Name and program of everything that a training, an evaluation and a generation compile."""
    for encoding, kernel in ((RoPE(base=1e4), "dense"), (ALiBi(), "blockwise")):
        wiring = Wiring(CONFIG, encoding, Causal(), kernel)
        params = from_scratch(CONFIG, encoding, Causal(), seed=0, dtype=dtype).params
        yield from ((f"{name} of {encoding!r}, {kernel}", program) for name, program in of(wiring, params, dtype))


def of(wiring: Wiring, params: Any, dtype: str) -> Iterator[tuple[str, Program]]:
    ids = np.random.default_rng(0).integers(0, CONFIG.vocabulary, (B, T + 1)).astype(np.int32)
    tokens, targets = ids[:, :-1], ids[:, 1:]
    places = np.broadcast_to(np.arange(T, dtype=np.int32), (B, T))
    batch = Batch(tokens, targets, np.ones((B, T), np.float32), places, np.zeros((B, T), np.int32))
    recipe = StepConfig(wiring, Full(), Optimizer(lr=1e-2), SkipConfig(), BatchFields(), steps=10, dtype=dtype)
    state = init_state(recipe, params)
    yield "training step", Program(partial(train_step, recipe), (state, {}, batch))
    losses = jax.jit(partial(nll_by_row, wiring, given=BatchFields(), dtype=dtype))
    yield "losses of a training", Program(losses, (params, batch))
    nothing = {"pos": None, "segments": None}
    yield "logits", Program(partial(compiled.logits, wiring, length=None, **nothing), (params, tokens))
    yield "nll", Program(partial(compiled.nll, wiring, length=None, **nothing), (params, tokens))
    cache = empty_cache(wiring, B, T, params["embedding"].dtype)
    part = partial(compiled.nll_part, wiring, length=T)
    yield "nll of a part", Program(lambda p, x, y, c: part(p, x, y, cache=c), (params, tokens, targets, cache))
    yield "prefill", Program(partial(compiled.prefill, wiring, T), (params, tokens[:, :8]))
    _, cache = compiled.prefill(wiring, T, params, tokens[:, :8])
    memory, layers = compiled.memory_of(wiring, params, cache), decoding.unstacked(wiring, params)
    step = partial(compiled.step, wiring)
    yield "decoding", Program(step, (params, layers, tokens[:, :1], jnp.full((B, 1), 8, jnp.int32), memory))
    starts = np.full(B, 4, np.int32)
    judged = partial(compiled.judged, wiring, 3)
    yield "judging", Program(judged, (params, tokens, np.zeros_like(tokens), starts, T))
    q = jnp.ones((B, T, 4, 8), dtype)
    call = partial(attend, encoding=wiring.encoding, kernel=wiring.kernel)
    gradient = jax.grad(lambda q, k, v: jnp.sum(call(q, k, v)[0].astype(jnp.float32)), argnums=(0, 1, 2))
    yield "gradient of attention", Program(gradient, (q, q[:, :, :2], q[:, :, :2]))


def fusions_of_product_and_reduction(hlo: str) -> int:
    """How many computations of an optimised program hold both a product and a reduction and are run as one fusion."""
    bodies = dict(re.findall(r"^%?([\w.\-]+) \([^\n]*\{\n(.*?)^\}", hlo, re.M | re.S))
    fused = set(re.findall(r" fusion\([^\n]*calls=%?([\w.\-]+)", hlo))
    return sum(" dot(" in bodies[name] and " reduce(" in bodies[name] for name in fused)


def reproducer() -> str:
    """The optimised program that jaxlib from 0.10.2 on computes wrongly without the guard."""
    function = jax.jit(lambda x: jnp.sum((x @ jnp.full_like(x, 0.37)) * x, -1))
    return function.lower(jnp.ones((5, 32, 32))).compile().as_text()


if __name__ == "__main__":
    print("reproducer", fusions_of_product_and_reduction(reproducer()), sep="\t")
    for name, (function, arguments) in programs():
        print(name, fusions_of_product_and_reduction(jax.jit(function).lower(*arguments).compile().as_text()), sep="\t")

"""A step of training, float32, two threads: ropelab and transformers + torch sdpa in turn, beside the GEMM rate.

    python -m pip install torch transformers accelerate
    GLIBC_TUNABLES=glibc.malloc.hugetlb=1 python -m benchmarks.train

A step is the loss of random tokens, its gradient, a clip of its norm and AdamW. Both begin from random parameters of
the same sizes, or from SmolLM2. Runs alternate A B A B after two steps of each; the minimum of each is quoted. Flops:
6 a multiplying parameter and token, attention counted for the causal half. With huge pages both spend less in page
faults, and ropelab, whose temporaries are one block, more so: on one machine SmolLM2 1.02x with them and 0.87x without.
Machines differ: that one had 1.06x, 0.86x and 1.02x of torch 2.13 in the three rows, an AMD EPYC with AVX-512, where
XLA's products of these shapes reach 40 to 60 % of a large one's rate, 0.94x, 0.96x and 0.78x of torch 2.15.
"""

import argparse
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from benchmarks.forward import THREADS, clock, gemm_rate
from ropelab import encodings
from ropelab.training import flops

Step = Callable[[np.ndarray], object]


class Row(NamedTuple):
    """A workload, and the ratio that is wanted of it."""

    name: str
    batch: int
    length: int
    wanted: float


ROWS = [Row("tiny", 4, 256, 1.2), Row("tiny", 1, 2048, 1.0), Row("smollm2", 1, 1024, 1.0)]
TINY = {"vocabulary": 4096, "width": 256, "layers": 4, "heads": 4, "key_heads": 4, "feed_forward": 688}


def ours(row: Row) -> tuple[float, Step]:
    """`(flops of a token, step)`."""
    import jax

    import ropelab
    from ropelab.attention.patterns import Causal
    from ropelab.data.batch import Batch
    from ropelab.models import LlamaConfig, from_scratch
    from ropelab.training.lora import Full
    from ropelab.training.optimizer import Optimizer
    from ropelab.training.step import BatchFields, SkipConfig, StepConfig, init_state, train_step

    if row.name == "tiny":
        config = LlamaConfig(**TINY, head_dim=64, norm_eps=1e-5, trained_length=row.length)
        model = from_scratch(config, encodings.RoPE(base=10000.0), Causal(), seed=0)
    else:
        model = ropelab.load("smollm2").model
    wiring = model.wiring._replace(remat="nothing")
    recipe = StepConfig(wiring, Full(), Optimizer(lr=1e-5, schedule="constant"), SkipConfig(), BatchFields(), 1000)
    state = init_state(recipe, model.params)

    def step(tokens: np.ndarray) -> object:
        nonlocal state
        ones = np.ones(tokens[:, 1:].shape, np.float32)
        places = np.broadcast_to(np.arange(row.length, dtype=np.int32), ones.shape)
        batch = Batch(tokens[:, :-1], tokens[:, 1:], ones, places, np.zeros_like(places))
        state, happened = train_step(recipe, state, {}, jax.tree.map(np.ascontiguousarray, batch))
        return float(happened.loss)

    return flops.flops_per_token(wiring, row.length, frozen=False), step


def theirs(row: Row) -> Step:
    """The same step by torch."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

    from ropelab.checkpoints.locate import find_smollm2

    torch.set_num_threads(THREADS)
    if row.name == "tiny":
        config = LlamaConfig(
            vocab_size=TINY["vocabulary"], hidden_size=TINY["width"], num_hidden_layers=TINY["layers"],
            num_attention_heads=TINY["heads"], num_key_value_heads=TINY["key_heads"],
            intermediate_size=TINY["feed_forward"], max_position_embeddings=row.length, tie_word_embeddings=False,
        )  # fmt: skip
        model: Any = LlamaForCausalLM(config)
    else:
        path = find_smollm2()
        model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    model.train()
    rule = torch.optim.AdamW(model.parameters(), lr=1e-5, betas=(0.9, 0.95), weight_decay=0.1)

    def step(tokens: np.ndarray) -> object:
        ids = torch.from_numpy(tokens.astype(np.int64))
        logits = model(ids[:, :-1], use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        rule.step()
        rule.zero_grad()
        return float(loss.detach())

    return step


def compare(row: Row, repeats: int, peer: bool, gemm: dict[str, float]) -> None:
    """One line: tokens per second of both, their ratio, and ours as a share of the GEMM rate."""
    work, our = ours(row)
    steps = {"ropelab": our} | ({"transformers": theirs(row)} if peer else {})
    vocabulary = TINY["vocabulary"] if row.name == "tiny" else 49152
    tokens = np.random.default_rng(0).integers(0, vocabulary, (row.batch, row.length + 1)).astype(np.int32)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step(tokens), step(tokens)
    for _ in range(repeats):
        for name, step in steps.items():
            times[name].append(clock(step, tokens))
    count, best = row.batch * row.length, {name: min(seconds) for name, seconds in times.items()}
    told = [f"{name} {count / best[name]:.0f} tok/s ({best[name]:.3f}-{max(times[name]):.3f} s)" for name in steps]
    if peer:
        told.append(f"ratio {best['transformers'] / best['ropelab']:.2f}x, wanted {row.wanted:.1f}x")
    rate = work * count / best["ropelab"] / 1e9
    share = ", ".join(f"{100 * rate / g:.0f} % of {name}'s GEMM" for name, g in gemm.items())
    print(f"{row.name} {row.batch} x {row.length}: {'; '.join(told)}; {rate:.0f} GFLOP/s = {share}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="0,1,2", help="which of the workloads, by number")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--peer", choices=("transformers", "none"), default="transformers")
    args = parser.parse_args()
    gemm = gemm_rate()
    print("GEMM 4096: " + ", ".join(f"{name} {rate:.0f} GFLOP/s" for name, rate in gemm.items()))
    for number in args.rows.split(","):
        compare(ROWS[int(number)], args.repeats, args.peer == "transformers", gemm)


if __name__ == "__main__":
    sys.exit(main())

"""SmolLM2 decoding, float32, two threads, batch 1: ropelab and transformers in turn, at several contexts.

    python -m pip install torch transformers accelerate && python -m benchmarks.decode

Both read the same random context and then take one token at a time, greedily, from their caches; the prompt is not
counted. Arms of ropelab: a static encoding whose keys are cached encoded; the same frequencies with keys rotated when
they are read, as length-dependent encodings need (DynamicNTK per sequence and per query). Transformers runs its
default RoPE with a DynamicCache and sdpa, and its own `dynamic` rope. Runs alternate, the median of a token is quoted.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.forward import THREADS

ARMS = {
    "static (keys cached encoded)": None,
    "per sequence (rotated when read)": "DynamicNTK(factor=2.0, original_length=8192)",
    "per query (rotated when read)": "DynamicNTK(factor=2.0, original_length=8192, per='query')",
}
Step = Callable[[], object]


def ours(spec: str | None, prompt: np.ndarray, room: int) -> Step:
    """One greedy step of ropelab."""
    import jax.numpy as jnp

    import ropelab
    from ropelab.models.generation import Decoder

    decoder = Decoder(ropelab.load("smollm2").swap(spec).model, [prompt.tolist()], room)

    def step() -> None:
        decoder.step(jnp.argmax(decoder.logits_BV, axis=-1))
        decoder.logits_BV.block_until_ready()

    return step


def theirs(prompt: np.ndarray, rope: dict | None) -> Step:
    """One greedy step of transformers."""
    import torch
    from transformers import AutoModelForCausalLM

    from ropelab.checkpoints.locate import find_smollm2

    torch.set_num_threads(THREADS)
    path = find_smollm2()
    model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    if rope is not None:
        model.config.rope_parameters |= rope
        model.model.rotary_emb = type(model.model.rotary_emb)(model.config)
    model.eval()
    with torch.no_grad():
        out = model(torch.from_numpy(prompt[None].astype(np.int64)), use_cache=True, logits_to_keep=1)
    state = [out.logits[:, -1].argmax(-1), out.past_key_values]

    def step() -> None:
        with torch.no_grad():
            out = model(state[0][:, None], past_key_values=state[1], use_cache=True)
        state[:] = [out.logits[:, -1].argmax(-1), out.past_key_values]

    return step


def measure(steps: dict[str, Step], tokens: int) -> Iterator[tuple[str, float]]:
    """Median seconds of a token of each, runs interleaved."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(tokens + 3):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if number >= 3:  # compilation and first touches
                times[name].append(time.perf_counter() - start)
    yield from ((name, float(np.median(taken))) for name, taken in times.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contexts", default="2048,8192")
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--peer", choices=("transformers", "none"), default="transformers")
    args = parser.parse_args()
    for context in map(int, args.contexts.split(",")):
        prompt = np.random.default_rng(0).integers(0, 49152, context)
        steps = {f"ropelab {name}": ours(spec, prompt, args.tokens + 4) for name, spec in ARMS.items()}
        if args.peer == "transformers":
            steps["transformers default"] = theirs(prompt, None)
            steps["transformers dynamic"] = theirs(prompt, {"rope_type": "dynamic", "factor": 2.0})
        found = dict(measure(steps, args.tokens))
        for name, seconds in found.items():
            peer = "transformers dynamic" if "rotated" in name else "transformers default"
            ratio = f"; {found[peer] / seconds:.2f}x {peer}" if peer in found and name.startswith("ropelab") else ""
            print(f"context {context}: {name}: {1 / seconds:.1f} tok/s{ratio}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

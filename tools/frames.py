"""Count the frames between `lab.logits` and the hooks of an encoding: run by `tools.structure --frames`.

Writes a tiny random Llama as a Hugging Face directory, loads it, and runs it with a user-defined encoding whose hooks
record the call stack. Only the public surface of ropelab is used, so that the script also runs against older
revisions. Frames count where their file is below the package; jax's own frames in between do not.
"""

import importlib
import json
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

import ropelab
from ropelab.encodings import RoPE

PACKAGE = Path(ropelab.__file__).parent
IS_OLD = not (PACKAGE / "spec.py").exists()  # before 0.2; another ropelab may be installed, so look at the files
spec = importlib.import_module("ropelab.encodings.specs" if IS_OLD else "ropelab.spec").spec

D_MODEL, NUM_HEADS, NUM_KV_HEADS, HEAD_DIM, D_FF, VOCAB_SIZE, NUM_LAYERS = 32, 4, 2, 8, 64, 32, 2
TOKENS = 1024  # enough for the blockwise kernel
STACKS: dict[str, list[traceback.FrameSummary]] = {}


def record_stack(hook: str) -> None:
    STACKS.setdefault(hook, traceback.extract_stack()[:-2])  # without this function and the hook itself


@spec
class Traced(RoPE):
    """RoPE that records the call stack of its hooks."""

    def frequencies(self, *args: Any, **kwargs: Any) -> Any:
        record_stack("frequencies")
        return super().frequencies(*args, **kwargs)

    def combine(self, *args: Any, **kwargs: Any) -> Any:
        record_stack("combine")
        return super().combine(*args, **kwargs)


def write_model(folder: Path) -> None:
    """Write a random Llama as a Hugging Face directory."""
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": D_MODEL,
        "intermediate_size": D_FF,
        "num_attention_heads": NUM_HEADS,
        "num_key_value_heads": NUM_KV_HEADS,
        "head_dim": HEAD_DIM,
        "num_hidden_layers": NUM_LAYERS,
        "max_position_embeddings": 32,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": True,
        "vocab_size": VOCAB_SIZE,
        "attention_bias": False,
        "mlp_bias": False,
    }
    shapes = {"model.embed_tokens.weight": (VOCAB_SIZE, D_MODEL), "model.norm.weight": (D_MODEL,)}
    for layer in range(NUM_LAYERS):
        prefix = f"model.layers.{layer}"
        shapes |= {
            f"{prefix}.input_layernorm.weight": (D_MODEL,),
            f"{prefix}.post_attention_layernorm.weight": (D_MODEL,),
            f"{prefix}.self_attn.q_proj.weight": (NUM_HEADS * HEAD_DIM, D_MODEL),
            f"{prefix}.self_attn.k_proj.weight": (NUM_KV_HEADS * HEAD_DIM, D_MODEL),
            f"{prefix}.self_attn.v_proj.weight": (NUM_KV_HEADS * HEAD_DIM, D_MODEL),
            f"{prefix}.self_attn.o_proj.weight": (D_MODEL, NUM_HEADS * HEAD_DIM),
            f"{prefix}.mlp.gate_proj.weight": (D_FF, D_MODEL),
            f"{prefix}.mlp.up_proj.weight": (D_FF, D_MODEL),
            f"{prefix}.mlp.down_proj.weight": (D_MODEL, D_FF),
        }
    rng = np.random.default_rng(0)
    arrays = {name: rng.standard_normal(shape, np.float32) / 6 for name, shape in shapes.items()}
    (folder / "config.json").write_text(json.dumps(config))
    save_file(arrays, folder / "model.safetensors", metadata={"format": "pt"})


def in_package(stack: list[traceback.FrameSummary]) -> list[traceback.FrameSummary]:
    """Keep the package's own frames, from the public call on."""
    return [frame for frame in stack if Path(frame.filename).is_relative_to(PACKAGE)]


def show(write: Callable[[str], None] = print) -> None:
    for hook, what in (("frequencies", "the frequencies"), ("combine", "`combine`")):
        frames = in_package(STACKS[hook])
        files = {frame.filename for frame in frames}
        write(f"frames from `lab.logits` to {what}\t{len(frames)} in {len(files)} files")
        for frame in frames:
            write(f"  {Path(frame.filename).relative_to(PACKAGE)}:{frame.lineno} {frame.name}")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder))
        lab = ropelab.load(folder).swap(Traced())
        lab.logits(np.zeros((1, TOKENS), np.int32))
    show()


if __name__ == "__main__":
    main()

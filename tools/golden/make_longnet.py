"""Freeze the logits of a tiny random LongNet, dense and dilated, and the gradient that reaches its embeddings.

Source: microsoft/torchscale 4d1e0e8, `Decoder` (attention over all earlier tokens) and `LongNetDecoder` (dilated), both
with sub-LN and xPos; torch 2.13.0, float64 but for xPos's sines, einops 0.8.2. Flash attention is a softmax and its
log-sum-exp (`peer_checkouts.py`). None of their code is here: the argument is a folder of checkouts.

One set of random weights serves both, so the two differ by their attention only. Weights are drawn from bfloat16
values, which keeps the file small; biases are not zero and norms lie around one, so that no parameter is idle. A base
of 16 tokens for xPos, instead of 512, lets the decay show in 48 tokens. The loss is the mean of -log p(token t+1).

    git clone https://github.com/microsoft/torchscale peers/torchscale       # then check out the commit above
    python tools/golden/make_longnet.py peers        # 5 s; writes tests/golden/longnet.npz
"""

import json
import sys
from pathlib import Path

import numpy as np
import peer_checkouts
import torch

OUTPUT = Path(__file__).parents[2] / "tests" / "golden" / "longnet.npz"
SMALLEST_DIFFERENCE = 0.01
LENGTH = 48
SIZES = {
    "vocab_size": 61,
    "decoder_embed_dim": 32,
    "decoder_attention_heads": 4,
    "decoder_ffn_embed_dim": 64,
    "decoder_layers": 2,
    "layernorm_eps": 1e-5,
}
XPOS = {"xpos_rel_pos": True, "xpos_scale_base": 16}
DILATED = {"segment_length": [8, 16, 48], "dilated_ratio": [1, 2, 4]}


def modules():
    return peer_checkouts.borrow(
        "torchscale",
        "torchscale.architecture.config",
        "torchscale.architecture.decoder",
        "torchscale.model.LongNet",
        "torchscale.component.multihead_attention",
    )


def made(settings, dilated):
    """A decoder in float64, its weights not yet set."""
    config, decoder, longnet, multihead = modules()
    multihead.flash_attn_func = peer_checkouts.flash
    args = config.DecoderConfig(**SIZES, **settings, flash_attention=dilated)
    vars(args).update(DILATED, seq_parallel=False)
    embedding = torch.nn.Embedding(SIZES["vocab_size"], SIZES["decoder_embed_dim"])
    return (longnet.LongNetDecoder if dilated else decoder.Decoder)(args, embedding).double()


def drawn(rng, name, shape):
    """A random tensor of bfloat16 values in float32; gains lie around one."""
    gain = "norm" in name.lower() or "_ln" in name
    noise = torch.from_numpy(rng.standard_normal(shape)) * (0.5 if "embed_tokens" in name else 0.25)
    return (noise + float(gain and name.endswith("weight"))).bfloat16().float().numpy()


def answers(state, tokens, settings=XPOS, dilated=False):
    """`(logits, gradient of the loss by the embedding table)`."""
    model, ids = made(settings, dilated), torch.from_numpy(tokens).long()
    model.load_state_dict({name: torch.from_numpy(w).double() for name, w in state.items()}, strict=False)
    logits = model(ids)[0]
    torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten()).backward()
    return logits.detach().numpy().astype(np.float32), model.embed_tokens.weight.grad.numpy().astype(np.float32)


def main():
    torch.set_num_threads(1)
    peer_checkouts.checkouts = Path(sys.argv[1])
    rng = np.random.default_rng(20230705)
    shapes = {name: tuple(w.shape) for name, w in made(XPOS, False).named_parameters()}
    state = {name: drawn(rng, name, shape) for name, shape in shapes.items()}
    tokens = rng.integers(0, SIZES["vocab_size"], (2, LENGTH), dtype=np.int32)
    found = {"dense": answers(state, tokens), "dilated": answers(state, tokens, dilated=True)}
    without = answers(state, tokens, {"xpos_rel_pos": False})
    for name, (logits, gradient) in found.items():
        print(f"{name:<8} logits of deviation {logits.std():.2f}, gradient {np.abs(gradient).max():.3f} at most")
    for a, b in ((found["dense"], found["dilated"]), (found["dense"], without)):
        assert np.abs(a[0] - b[0]).max() > SMALLEST_DIFFERENCE
    arrays = {f"weights/{name}": w for name, w in state.items()} | {"tokens": tokens}
    arrays |= {f"logits/{name}": logits for name, (logits, _) in found.items()}
    arrays["gradients/dilated"] = found["dilated"][1]
    arrays["settings"] = np.array(json.dumps(SIZES | XPOS | DILATED))
    commit = peer_checkouts.COMMITS["torchscale"]
    arrays["source"] = np.array(f"microsoft/torchscale {commit}, torch {torch.__version__}")
    np.savez_compressed(OUTPUT, **arrays)
    print(f"{OUTPUT.name}: {OUTPUT.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()

"""LongNet as its definition has it: a loop over tokens, heads and branches in float64, and its authors' weights."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ropelab.encodings import XPos
from ropelab.models import LongNetConfig

Tree = Mapping[str, Any]
Branches = tuple[tuple[int, int], ...]


def looped_logits(
    params: Tree, tokens_T: np.ndarray, config: LongNetConfig, branches: Branches, xpos: XPos
) -> np.ndarray:
    """float64[T, V] of one row of tokens."""
    wide = {name: np.asarray(leaf, np.float64) for name, leaf in params.items() if name != "layers"}
    x_TD = wide["embedding"][tokens_T]
    for n in range(config.layers):
        layer = {name: np.asarray(leaf[n], np.float64) for name, leaf in params["layers"].items()}
        x_TD = looped_layer(layer, x_TD, config, branches, xpos)
    return normed(wide, "norm", x_TD, config) @ wide["head"].T


def looped_layer(layer: Tree, x_TD: np.ndarray, config: LongNetConfig, branches: Branches, xpos: XPos) -> np.ndarray:
    T, h_TD = len(x_TD), normed(layer, "attention_norm", x_TD, config)
    mixed_TNH = np.zeros((T, config.heads, config.head_dim))
    for head in range(config.heads):
        q, k, v = (h_TD @ layer[name][:, head] + layer[f"{name}_bias"][head] for name in "qkv")
        for i in range(T):
            seen = [count(i, j, head, branches) for j in range(i + 1)]
            weights = [n * math.exp(score(q[i], k[j], i - j, xpos)) for j, n in enumerate(seen)]
            mixed_TNH[i, head] = sum(w * v[j] for j, w in enumerate(weights)) / sum(weights)
    mixed_TX = normed(layer, "mixed_norm", mixed_TNH.reshape(T, -1), config)
    x_TD = x_TD + mixed_TX @ layer["o"].reshape(-1, config.width) + layer["o_bias"]
    up_TF = normed(layer, "mlp_norm", x_TD, config) @ layer["up"] + layer["up_bias"]
    gelu_TF = up_TF * (1 + np.vectorize(math.erf)(up_TF / math.sqrt(2))) / 2
    return x_TD + normed(layer, "up_norm", gelu_TF, config) @ layer["down"] + layer["down_bias"]


def count(i: int, j: int, head: int, branches: Branches) -> int:
    """In how many branches (w, r) both tokens are kept by the head, in one segment."""
    return sum(i // w == j // w and i % r == j % r == head % r for w, r in branches)


def score(q_H: np.ndarray, k_H: np.ndarray, distance: int, xpos: XPos) -> float:
    """xPos: neighbouring entries are one complex number each, turned and shrunk with the distance."""
    assert xpos.base is not None
    H = len(q_H)
    pair = np.arange(0, H, 2)
    angle, zeta = distance * xpos.base ** (-pair / H), (pair / H + xpos.gamma) / (1 + xpos.gamma)
    product = (q_H[::2] + 1j * q_H[1::2]) * np.conj(k_H[::2] + 1j * k_H[1::2])
    return float(np.sum((product * np.exp(1j * angle)).real * zeta ** (distance / xpos.scale_base))) / math.sqrt(H)


def normed(layer: Tree, name: str, x: np.ndarray, config: LongNetConfig) -> np.ndarray:
    centred = x - x.mean(axis=-1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + config.norm_eps)
    return centred / deviation * layer[name] + layer[f"{name}_bias"]


def to_tree(golden: Mapping[str, np.ndarray], config: LongNetConfig) -> dict[str, Any]:
    """The weights of `longnet.npz` as the model's tree. torchscale stores matrices as (out, in), heads flattened."""
    D, N, H = config.width, config.heads, config.head_dim

    def stacked(name: str) -> np.ndarray:
        return np.stack([golden[f"weights/layers.{n}.{name}"] for n in range(config.layers)])

    layers = {}
    for ours, theirs in {"q": "q_proj", "k": "k_proj", "v": "v_proj"}.items():
        weight_LXD, bias_LX = (stacked(f"self_attn.{theirs}.{part}") for part in ("weight", "bias"))
        layers[ours] = np.swapaxes(weight_LXD, 1, 2).reshape(-1, D, N, H)
        layers[f"{ours}_bias"] = bias_LX.reshape(-1, N, H)
    for ours, theirs in {"o": "self_attn.out_proj", "up": "ffn.fc1", "down": "ffn.fc2"}.items():
        layers[ours] = np.swapaxes(stacked(f"{theirs}.weight"), 1, 2)
        layers[f"{ours}_bias"] = stacked(f"{theirs}.bias")
    layers["o"] = layers["o"].reshape(-1, N, H, D)
    norms = {
        "attention_norm": "self_attn_layer_norm", "mixed_norm": "self_attn.inner_attn_ln",
        "mlp_norm": "final_layer_norm", "up_norm": "ffn.ffn_layernorm",
    }  # fmt: skip
    for ours, theirs in norms.items():
        layers[ours], layers[f"{ours}_bias"] = stacked(f"{theirs}.weight"), stacked(f"{theirs}.bias")
    top = {"embedding": "embed_tokens.weight", "head": "output_projection.weight"}
    top |= {"norm": "layer_norm.weight", "norm_bias": "layer_norm.bias"}
    return {ours: golden[f"weights/{theirs}"] for ours, theirs in top.items()} | {"layers": layers}

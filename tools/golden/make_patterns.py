"""Freeze what the authors' own repositories make of their attention patterns, and by how much their faults show.

Sources: LongNet (microsoft/torchscale 4d1e0e8), LEX (sunyt32/torchscale 4ad9dfd), LongLoRA (dvlab-research/LongLoRA
d4eb344), Sparse Transformer (openai/sparse_attention c53f3bd), StreamingLLM (mit-han-lab/streaming-llm 2e50426),
LM-Infinite (Glaciohound/LM-Infinite a0ce64c), Focused Transformer (CStanKonrad/long_llama bfcb8d1); transformers
5.23.0, torch 2.13.0, einops 0.8.2, jax 0.10.2. `pattern_peers.py` says how each is called. None of their code is here:
the argument is a folder of their checkouts, which must stand at those commits. Computed in float64, but for the
softmaxes that LEX, LongLoRA's path without flash attention, StreamingLLM and LongLLaMA round to float32; stored in
float32.

    for r in microsoft/torchscale dvlab-research/LongLoRA openai/sparse_attention mit-han-lab/streaming-llm \\
        Glaciohound/LM-Infinite CStanKonrad/long_llama; do git clone https://github.com/$r peers/${r#*/}; done
    git clone https://github.com/sunyt32/torchscale peers/torchscale-lex       # then check out the commits above
    python tools/golden/make_patterns.py peers        # 20 s; writes tests/golden/patterns.npz
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pattern_peers as peers
import peer_checkouts
import torch

OUTPUT = Path(__file__).parents[2] / "tests" / "golden" / "patterns.npz"
LENGTH, HEADS, HEAD_DIM = 48, 6, 8


def case(peer, name="", *, tokens=LENGTH, heads=2, rows=1, zero=None, gradients=False, **arguments):
    """The first tokens and heads, in rows of equal length; `zero` is a query of zeros."""
    return {
        "name": "_".join(filter(None, [peer, name])), "peer": peer, "tokens": tokens, "heads": heads, "rows": rows,
        "zero": zero, "gradients": gradients, "arguments": arguments,
    }  # fmt: skip


def cases():
    near = {"segments": [8, 16, 32], "rates": [1, 2, 4]}
    return [
        case("longnet", "even", heads=4, gradients=True, segments=[8, 16], rates=[1, 2]),
        case("longnet", "six_heads", heads=6, segments=[8, 24, 48], rates=[1, 2, 4]),
        case("longnet", "ragged", tokens=45, heads=4, gradients=True, **near),
        case("longnet", "learned_mixing", tokens=45, heads=4, gradients=True, mixing_learns=True, **near),
        case("longnet", "uncovered", tokens=45, heads=4, segments=[16, 32], rates=[2, 4]),
        case("longnet", "lse_zero", tokens=16, heads=4, zero=1, segments=[8, 16], rates=[1, 2]),
        case("lex", "even", block=16),
        case("lex", "ragged", tokens=45, gradients=True, block=16),
        case("lex", "short", tokens=12, block=16),
        case("lex", "xpos", tokens=45, block=16, xpos=True),
        case("lex", "decoded", tokens=45, block=16, decoded=True),
        case("longlora", "flash", heads=4, gradients=True, group=12),
        case("longlora", "flash_batch", heads=4, rows=2, group=6),
        case("longlora", "rolled", heads=4, group=12, path="forward_noflashattn"),
        case("sparse_transformer", "merged", heads=4, block=12, unit=1, layouts=1, units=3),
        case("sparse_transformer", "distinct", heads=4, block=12, unit=3, layouts=4, units=1),
        case("streaming", "evicting", tokens=45, sinks=4, recent=9, cut="before"),
        case("streaming", "evaluation", tokens=45, sinks=4, recent=9, cut="after"),
        case("streaming", "rotated", tokens=45, sinks=4, recent=9, cut="before", base=1e4),
        case("lm_infinite", "ragged", tokens=45, starting=3, local=9),
        case("lm_infinite", "rotated", tokens=45, starting=3, local=9, base=1e4),
        case("lm_infinite", "short", tokens=7, starting=3, local=9),
        case("sliding", tokens=45, window=9),
        case("chunked", tokens=45, chunk=8, left_padding=0),
        case("chunked", "padded", tokens=45, chunk=8, left_padding=3),
        case("cross_batch", "stepping", rows=6, others=2, pack=3, stepping=True, base=1e4),
        case("cross_batch", "one_pack", rows=6, others=3, pack=6, stepping=True, base=1e4),
        case("cross_batch", "full", rows=6, others=2, pack=3, stepping=False, base=1e4),
        case("memory", tokens=45, window=16, last=10, base=1e4),
    ]


def inputs():
    """Standard normal keys, values and cotangents of out; queries of twice that size."""
    rng = np.random.default_rng(2307_02486)
    sizes = {"q": 2.0, "k": 1.0, "v": 1.0, "given": 1.0}
    shape = (1, LENGTH, HEADS, HEAD_DIM)
    return {name: (size * rng.standard_normal(shape)).astype(np.float32) for name, size in sizes.items()}


def taken(arrays, case):
    """q, k, v and cotangents of a case."""
    rows, heads = case["rows"], case["heads"]
    for name, x in arrays.items():
        x = torch.tensor(x[:, : case["tokens"], :heads]).double().reshape(rows, -1, heads, HEAD_DIM)
        if name == "q" and case["zero"] is not None:
            x[:, case["zero"]] = 0
        yield x


def solve(case, arrays):
    *qkv, given = taken(arrays, case)
    qkv = [x.requires_grad_(case["gradients"]) for x in qkv]
    out = getattr(peers, case["peer"])(*qkv, **case["arguments"])
    found = {"out": out}
    if case["gradients"]:
        found |= dict(zip(("dq", "dk", "dv"), torch.autograd.grad(out, qkv, given), strict=True))
    return {what: x.detach().numpy().astype(np.float32) for what, x in found.items()}


# --- how far they are from what they say, where they are


def union(q, k, v, *, segments, rates, causal=True):
    """LongNet's equations as one softmax over the keys of all branches, a key that k branches see counted k times."""
    T, N = q.shape[1:3]
    i, j, h = np.ogrid[:T, :T, :N]
    n = 0
    for w, r in zip(segments, rates, strict=True):
        kept = [(pos % w - h // -(-N // r)) % r == 0 for pos in (i, j)]
        n = n + ((i // w == j // w) & kept[0] & kept[1] & ((j <= i) | (not causal)))
    n_NTS = torch.tensor(n).permute(2, 0, 1).double()
    s_BNTS = torch.einsum("BTNH,BSNH->BNTS", q, k) / math.sqrt(q.shape[-1]) + n_NTS.log()
    return torch.einsum("BNTS,BSNH->BTNH", s_BNTS.softmax(-1).nan_to_num(), v)


def faults(arrays):
    """The largest difference in out, queries and keys as in the cases, values about 1."""

    def apart(a, b):
        return float((a - b).abs().max())

    def four(**rest):
        return list(taken(arrays, case("", heads=4, **rest)))[:3]

    whole, ragged, both = four(), four(tokens=45), {"segments": (8, 16), "rates": (1, 2)}
    odd, wide = {"segments": (6,), "rates": (4,)}, {"segments": (12, 48), "rates": (1, 2)}
    found = peers.longnet(*whole, **odd)
    yield "longnet: a segment that is no multiple of its rate", apart(found, union(*whole, **odd))
    ahead = {"causal": False} | both
    yield "longnet: keys of padding, not causal", apart(peers.longnet(*ragged, **ahead), union(*ragged, **ahead))
    ahead |= wide
    alone = peers.longnet(*whole, **ahead)
    yield "longnet: 2 ranks, not causal", apart(peers.longnet(*whole, **ahead, ranks=2), alone)
    alone = peers.longnet(*whole, **wide)
    for ranks in (2, 4):
        yield f"longnet: {ranks} ranks, causal", apart(peers.longnet(*whole, **wide, ranks=ranks), alone)
    zero = four(tokens=16, zero=1)
    yield "longnet: an lse of exactly 0", apart(peers.longnet(*zero, **both), union(*zero, **both))
    solved = {c["name"]: solve(c, arrays) for c in cases() if c["name"].startswith("longnet")}
    mixing = [torch.tensor(solved[f"longnet_{name}"]["dq"]) for name in ("ragged", "learned_mixing")]
    yield "longnet: dq without the gradient of the mixing weights", apart(*mixing)
    yield "lex: decoded", apart(peers.lex(*ragged, block=16, decoded=True), peers.lex(*ragged, block=16))
    flash, rolled = peers.longlora(*whole, group=12), peers.longlora(*whole, group=12, path="forward_noflashattn")
    yield "longlora: rolled around the end", apart(flash, rolled)
    yield from longlora_faults(apart, four)
    few, all_four = (peers.sparse_transformer(*whole, block=12, unit=3, layouts=n, units=1) for n in (2, 4))
    yield "sparse_transformer: fewer layouts than there are columns", apart(few, all_four)
    kept = [peers.streaming(*ragged, sinks=4, recent=9, cut=cut) for cut in ("before", "after")]
    yield "streaming: a window of one token more in its evaluation", apart(*kept)


def longlora_faults(apart, four):
    """An odd group, rolled by one token more there than back; a padded row, masked as if halves came before rows."""
    odd = four(tokens=44)
    found = peers.longlora(*odd, group=11, path="forward_noflashattn")
    back = found.clone()
    back[:, :, 2:] = found[:, :, 2:].roll(1, dims=1)
    yield "longlora: an odd group", apart(found, back)
    rows, present = four(rows=2), torch.ones(2, 24).long()
    present[1, 22:] = 0  # with a whole stretch missing, the ends of the stretches do not even grow
    alone, padded = peers.longlora(*rows, group=6), peers.longlora(*rows, group=6, present=present)
    yield "longlora: the row beside a padded one", apart(padded[0], alone[0])


def main():
    peer_checkouts.checkouts = Path(sys.argv[1])
    arrays = inputs()
    frozen = dict(arrays)
    for each in cases():
        found = solve(each, arrays)
        frozen |= {f"cases/{each['name']}/{what}": x for what, x in found.items()}
        print(f"{each['name']:<30} out rms {np.sqrt((found['out'] ** 2).mean()):.4f}   {', '.join(found)}")
    frozen["cases"] = np.array([json.dumps(each) for each in cases()])
    measured = list(faults(arrays))
    for what, number in measured:
        print(f"{number:9.6f}  {what}")
    frozen["faults"] = np.array([json.dumps({"what": what, "difference": number}) for what, number in measured])
    np.savez_compressed(OUTPUT, **frozen)
    print(f"{OUTPUT.name}: {len(cases())} cases, {OUTPUT.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()

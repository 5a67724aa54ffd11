"""Freeze the scores of every kind of encoding, computed from the papers' equations in float64.

Sources: the equations, in `score_formulas.py` and `score_tables.py`, each with its paper; numpy only. Where a released
implementation runs, it must agree to 2e-5 of the largest score or nothing is written (`score_peers.py`: x-transformers
2.31.10, torchscale 0.3.0, transformers 5.23.0). The others were read, not run: bojone/rerope, datamllab/LongLM,
HKUNLP/ChunkLlama, chijames/KERPLE, hrlics/CoPE, sheryc/resonance_rope, vLLM's ntk_scaling_rope.py at 03587f5.

Frozen are the scores of each query for itself and for the keys before it, and those only: q . k / sqrt(H), then biases.

What peers do otherwise is not frozen. x-transformers: xPos tables overflow float32 from 72500 positions on; PoPE is
divided by sqrt(2H), 0.71 of the scores here; T5's bias is multiplied by sqrt(H), 4 here, as T5 does not divide q . k.
FoPE's code turns slow pairs by 45 degrees and stretches them by sqrt(2), and mixes into H / 4 pairs at most.
Dual chunk's code multiplies by 0.05 ln(l / L) + 1. Falcon's ALiBi has slopes in bfloat16, up to 1.6e-3 off.

    python tools/golden/make_scores.py        # 7 s; writes tests/golden/scores.npz
"""

import json
from functools import partial
from pathlib import Path

import numpy as np
import score_formulas as f
import score_peers as peers
import score_tables as t

OUTPUT = Path(__file__).parents[2] / "tests" / "golden" / "scores.npz"
LENGTH, QUERY_HEADS, KEY_HEADS, HEAD_DIM = 23, 4, 2, 16
FAR = (0, 1, 2, 3, 7, 12, 30, 63, 64, 65, 100, 511, 512, 513, 2047, 8192, 30000, 65535, 65536, 131069, 131070, 131071)
POSITIONS = {"plain": np.arange(LENGTH), "far": np.array((*FAR, 131072))}
LAYOUTS = ("interleaved", "concatenated", "tensor2tensor")
BUCKETS = ((32, 128), (32, 256), (64, 1024), (16, 64))
SHORT = (1.0, 1.0, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5)
LONG = (1.0, 1.2, 1.5, 2.0, 3.0, 4.0, 4.5, 5.0)


def fixed(frequencies, amplitude=1.0):
    return partial(f.rope, inv_freq=frequencies, amplitude=amplitude)


def growing(function, **arguments):
    length = arguments["original_length"]
    return partial(f.growing, of_length=partial(function, dim=HEAD_DIM, **arguments), original_length=length)


def remapped(function, **arguments):
    return partial(f.remapped, base=1e4, between=partial(function, **arguments))


def sharpened(scores, factor):
    return lambda q, k, p: t.sharpened(scores(q, k, p), p, factor)


def without_position(q, k, p):
    return f.product(q, k)


ROPE = fixed(f.theta(1e4, HEAD_DIM))
SMALL = {"base": 1e2, "factor": 4.0, "original_length": 64}


def rotary():
    yield "ntk_by_parts", fixed(f.by_turns(HEAD_DIM, **SMALL, slow=1, fast=8))
    yield "ntk_mixed", fixed(f.mixed(HEAD_DIM, base=1e4, factor=4.0, b=0.625))
    yield "ntk_fixed", fixed(f.mixed(HEAD_DIM, base=1e4, factor=4.0, b=1))
    yield "llama3", fixed(f.by_turns(HEAD_DIM, **SMALL, slow=1, fast=4))
    yield "proportional", fixed(f.proportional(HEAD_DIM, base=1e4, fraction=0.4))
    yield "resonance_of_pi", fixed(f.resonant(f.theta(1e2, HEAD_DIM) / 2))
    yield "resonance_of_yarn", fixed(f.resonant(f.by_index(HEAD_DIM, **SMALL)), f.yarn_amplitude(4.0))
    yield "clipped", fixed(f.clipped(HEAD_DIM, base=1e2, clipped=6))
    yield "hope", fixed(f.high_only(HEAD_DIM, base=1e4, original_length=100))
    yield "dynamic_pi_per_query", growing(f.dynamic_pi, base=1e4, original_length=12)
    yield "dynamic_ntk_per_query", growing(f.dynamic_ntk, base=1e4, original_length=12, factor=2.0)
    yield "dynamic_yarn_per_query", growing(f.dynamic_yarn, base=1e2, original_length=12)
    lists = {"short_factor": SHORT, "long_factor": LONG}
    yield "longrope_per_query", growing(f.longrope, base=1e4, original_length=12, factor=4.0, **lists)
    for pairing in ("half", "interleaved"):
        yield f"xpos_{pairing}", partial(f.xpos, base=1e4, pairing=pairing)
    yield "xpos_other_constants", partial(f.xpos, base=1e4, pairing="half", gamma=0.2, scale_base=16)


def distances():
    yield "rerope", remapped(f.rerope, window=7)
    yield "leaky_rerope", remapped(f.leaky_rerope, window=7, k=4.0)
    yield "self_extend", remapped(f.self_extend, group=3, window=8)
    yield "dual_chunk", remapped(f.dual_chunk, chunk=12, local=4)
    yield "dual_chunk_short_span", remapped(f.dual_chunk, chunk=12, local=7)


def biases(tables):
    yield "alibi", t.alibi
    yield "t5", partial(t.t5, buckets=32, max_distance=128, tables=tables["t5"])
    yield "kerple_log", partial(t.kerple_log, tables=tables["kerple"])
    yield "kerple_power", partial(t.kerple_power, tables=tables["kerple"])
    yield "sandwich", t.sandwich
    yield "fire", partial(t.fire, threshold=8.0, tables=tables["fire"])
    yield "cope", partial(t.cope, tables=tables["cope"])
    yield "fope", partial(t.fope, base=1e4, original_length=100, tables=tables["fope"])
    yield "pope", partial(t.pope, base=1e4, tables=tables["pope"])


def queries(tables):
    factor = partial(t.logn, original_length=8)
    yield "logn", sharpened(ROPE, factor)
    yield "logn_of_rerope", sharpened(remapped(f.rerope, window=7), factor)
    yield "scalable_softmax", lambda q, k, p: t.scalable(ROPE(q, k, p), p, tables=tables["scalable_softmax"])
    yield "llama4", sharpened(without_position, partial(t.temperature, interval=8, scale=0.1, first=1))
    yield "ministral", sharpened(ROPE, partial(t.temperature, interval=8, scale=0.2, first=0))


def embedded(tables):
    for layout in LAYOUTS:
        yield f"sinusoidal_{layout}", partial(t.sinusoidal, layout=layout)
    yield "learned", partial(t.learned, tables=tables["learned"])


def released(tables):
    """`(case, the same from a released implementation, positions)`."""
    yield "alibi", peers.alibi, "far"
    yield "t5", partial(peers.t5, buckets=32, max_distance=128, tables=tables["t5"]), "plain"
    yield "cope", partial(peers.cope, tables=tables["cope"]), "plain"
    yield "pope", partial(peers.pope, base=1e4, tables=tables["pope"]), "plain"
    yield "xpos_interleaved", partial(peers.xpos_torchscale, base=1e4, pairing="interleaved"), "plain"
    for where in POSITIONS:
        yield "xpos_interleaved", partial(peers.xpos, base=1e4, pairing="interleaved"), where
        yield "ministral", sharpened(ROPE, partial(peers.ministral, interval=8, scale=0.2, first=0)), where
    yield "proportional", partial(peers.proportional, base=1e4, fraction=0.4), "plain"
    yield "llama4", partial(peers.llama4, interval=8, scale=0.1, first=1), "plain"


def learned_tables(rng):
    """Float32, some of them where they are clipped: KERPLE's below 0.01 and above 2, PoPE's phases beyond a turn."""
    kept = np.count_nonzero(f.high_only(HEAD_DIM, base=1e4, original_length=100))

    def normal(*shape, spread=1.0):
        return rng.normal(0, spread, shape)

    tables = {
        "t5": {"table": normal(32, QUERY_HEADS)},
        "kerple": {"r1": [0.004, 0.3, 1.1, 1.9], "r2": [0.7, 0.003, 2.4, 1.3]},
        "fire": {
            "in": normal(32),
            "in_bias": normal(32),
            "out": normal(32, QUERY_HEADS, spread=0.3),
            "out_bias": normal(QUERY_HEADS),
            "c": -0.2,
            "multiplier": -1.3,
        },
        "cope": {"table": normal(9, HEAD_DIM, spread=0.3)},
        "fope": {name: np.eye(kept) + normal(kept, kept, spread=0.3) for name in ("cos", "sin")},
        "pope": {"phase": rng.uniform(-7.5, 1, HEAD_DIM)},
        "scalable_softmax": {"softmax_scale": rng.uniform(0.1, 0.6, QUERY_HEADS)},
        "learned": {"table": normal(LENGTH, QUERY_HEADS * HEAD_DIM)},
    }
    return {kind: {name: np.asarray(x, np.float32) for name, x in named.items()} for kind, named in tables.items()}


def causal(s_NTS):
    """The pairs of a query with itself and with keys before it, query by query: [N, 276]."""
    return s_NTS[:, *np.tril_indices(LENGTH)]


def agree(name, formula, peer):
    worst = np.abs(peer - formula).max() / np.abs(formula).max()
    print(f"{name:<30} differs from the released one by {worst:.1e} of the largest")
    assert worst < 2e-5, name


def hold_against_releases(scores, added, q, k, x, tables):
    for name, peer, where in released(tables):
        agree(f"{name} {where}", *(causal(function(q, k, POSITIONS[where])) for function in (scores[name], peer)))
    for layout in LAYOUTS:
        formula, peer = added[f"sinusoidal_{layout}"], partial(peers.sinusoidal, layout=layout)
        agree(f"sinusoidal {layout}", *(function(x, POSITIONS["plain"]) for function in (formula, peer)))


def t5_buckets(buckets, max_distance):
    """Of the distances 0 to 1200; float32 and float64 logarithms agree on all of them."""
    reach = {"buckets": buckets, "max_distance": max_distance}
    released = peers.t5_buckets(np.arange(1201), **reach)
    assert released.tolist() == [t.t5_bucket(n, **reach) for n in range(1201)]
    return released.astype(np.int16)


def results(q, k, x, tables):
    """`(case, array)` of everything frozen."""
    scores = dict((*rotary(), *distances(), *biases(tables), *queries(tables)))
    added = dict(embedded(tables))
    hold_against_releases(scores, added, q, k, x, tables)
    for where, p in POSITIONS.items():
        for method, function in scores.items():
            yield case(method, "scores", where), causal(function(q, k, p))
        for method, function in added.items():
            if (method, where) != ("learned", "far"):  # its table ends before
                yield case(method, "embedded", where), function(x, p)


def case(method, what, where):
    return {"name": f"{method}_{where}", "method": method, "what": what, "positions": where}


def main():
    rng = np.random.default_rng(2212_10554)
    q_TNH = 2 * rng.standard_normal((LENGTH, QUERY_HEADS, HEAD_DIM), np.float32)
    k_SKH = rng.standard_normal((LENGTH, KEY_HEADS, HEAD_DIM), np.float32)
    tables = learned_tables(rng)
    arrays = {"q": q_TNH[None], "k": k_SKH[None]} | {f"positions/{name}": p for name, p in POSITIONS.items()}
    arrays |= {f"tables/{kind}/{name}": table for kind, named in tables.items() for name, table in named.items()}
    arrays |= {f"t5_buckets/{b}/{d}": t5_buckets(b, d) for b, d in BUCKETS}

    q, k = q_TNH.astype(np.float64), np.repeat(k_SKH, QUERY_HEADS // KEY_HEADS, axis=1).astype(np.float64)
    cases, outs = zip(*results(q, k, q.reshape(LENGTH, -1), tables), strict=True)
    for named, out in zip(cases, outs, strict=True):
        print(f"{named['name']:<40} rms {np.sqrt((out**2).mean()):.4f}")
        arrays[f"cases/{named['name']}"] = out.astype(np.float32)
    arrays["cases"] = np.array([json.dumps(named) for named in cases])
    np.savez_compressed(OUTPUT, **arrays)
    print(f"{OUTPUT.name}: {len(cases)} cases, {OUTPUT.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()

"""Our patterns against the authors' own code, on every way to evaluate them, by the numbers of `patterns.npz`."""

import json
from functools import partial

import jax
import numpy as np
import pytest

from ropelab.attention import (
    BlockwiseCausal,
    Dilated,
    FixedSparse,
    Grouped,
    LambdaMask,
    Pattern,
    ShiftedSparse,
    Sinks,
    SlidingWindow,
    attend,
)
from ropelab.contract.calls import KERNELS, fast_jit
from ropelab.encodings import Encoding, NoPE, ReRoPE, RoPE, XPos
from tests.encodings import frozen

TOLERANCE = 2e-5
DIFFERENT = ("longnet_lse_zero", "longlora_rolled")  # where the authors' code does not do what their paper says
BY_SLOT = "streaming_rotated"  # a pattern and positions of its own for each query
OURS = ("longnet", "lex", "longlora", "sparse_transformer", "streaming", "lm_infinite", "sliding", "chunked")
CASES = [case for case in frozen.cases("patterns") if case["peer"] in OURS]
WAYS = {"dense": KERNELS["dense"], "blockwise": KERNELS["blockwise"], "in order": "auto"}


def pattern_of(case: frozen.Case) -> Pattern:
    """The pattern of a case in our notation, and with it every difference of meaning."""
    given, peer = case["arguments"], case["peer"]
    if peer == "longnet":
        mixing = given.get("mixing_learns", False)
        branches = {name: tuple(given[name]) for name in ("segments", "rates")}
        return Dilated(**branches, head_offset="contiguous", mix_gradient=mixing)
    if peer == "lex":
        if given.get("decoded"):  # cut to a block after each token, before the next one is added
            return SlidingWindow(window=given["block"] + 1)
        return BlockwiseCausal(block=given["block"])
    if peer == "longlora":
        return ShiftedSparse(group=given["group"])
    if peer == "sparse_transformer":  # its columns come in units, and it has as many layouts as it is told
        summary = given["units"] * given["unit"]
        assert given["layouts"] in (1, given["block"] // summary)
        distinct = given["layouts"] > 1
        return FixedSparse(block=given["block"], summary=summary, heads="merged", distinct=distinct)
    if peer == "streaming":  # cut after each token, the cache has `recent` others beside the query
        return Sinks(sinks=given["sinks"], window=given["recent"] + (given["cut"] == "after"))
    if peer == "lm_infinite":
        return LambdaMask(starting=given["starting"], local=given["local"])
    return SlidingWindow(window=given["window"]) if peer == "sliding" else Grouped(group=given["chunk"])


def encoding_of(case: frozen.Case) -> Encoding:
    given = case["arguments"]
    if given.get("xpos"):
        return XPos(base=1e4, pairing="interleaved")
    return ReRoPE(base=given["base"], window=given["local"]) if given.get("base") else NoPE()


def inputs(case: frozen.Case) -> list[np.ndarray]:
    """q, k, v and the cotangent of out: the first tokens and heads, in rows of equal length."""
    file, rows, heads = frozen.arrays("patterns"), case["rows"], case["heads"]
    found = []
    for name in ("q", "k", "v", "given"):
        x = file[name][:, : case["tokens"], :heads]
        found.append(x.reshape(rows, -1, heads, x.shape[-1]).copy())
    if case["zero"] is not None:
        found[0][:, case["zero"]] = 0
    return found


@partial(fast_jit, static_argnums=(0, 1, 2, 3))
def results(encoding, pattern, kernel, gradients, qkv, pos, given):
    """Out, and its gradients where they are asked for; in order without positions."""

    def out(*qkv):
        return attend(*qkv, encoding=encoding, pattern=pattern, kernel=kernel, q_pos=pos, k_pos=pos)[0]

    if not gradients:
        return {"out": out(*qkv)}
    found, pull = jax.vjp(out, *qkv)
    return {"out": found} | dict(zip(("dq", "dk", "dv"), pull(given), strict=True))


def solved(case, way):
    *qkv, given = inputs(case)
    padding = case["arguments"].get("left_padding", 0)
    pos = None if way == "in order" and not padding else np.arange(qkv[0].shape[1]) - padding
    found = results(encoding_of(case), pattern_of(case), WAYS[way], case["gradients"], qkv, pos, given)
    return {what: np.asarray(x) for what, x in found.items()}


def frozen_of(case, what):
    return frozen.arrays("patterns")[f"cases/{case['name']}/{what}"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "case", [c for c in CASES if c["name"] not in (*DIFFERENT, BY_SLOT)], ids=lambda case: case["name"]
)
def test_the_authors_code_gives_the_same(case, way):
    """Out and, where frozen, the gradients of q, k and v."""
    for what, x in solved(case, way).items():
        np.testing.assert_allclose(x, frozen_of(case, what), rtol=0, atol=TOLERANCE, err_msg=f"{what}, {way}")


def named(name):
    (case,) = (case for case in CASES if case["name"] == name)
    return case


def test_streaming_llm_stands_at_the_places_of_its_cache():
    """Sinks with positions of its own for each query, a row each: what lies behind the sinks is counted from them."""
    case = named(BY_SLOT)
    given, (q, k, v, _) = case["arguments"], inputs(case)
    T, sinks, recent = case["tokens"], given["sinks"], given["recent"]
    i, j = np.ogrid[:T, :T]
    dropped = np.maximum(i + 1 - sinks - recent, 0)
    slot = np.where(j < sinks, j, j - dropped)
    kept = (j <= i) & ((j < sinks) | (slot >= sinks))
    k, v = (np.broadcast_to(x, (T, *x.shape[1:])) for x in (k, v))
    where = {"q_pos": i - dropped, "k_pos": slot, "segments": (np.ones((T, 1), int), kept.astype(int))}
    out, _ = attend(np.swapaxes(q, 0, 1), k, v, encoding=RoPE(base=given["base"]), **where)
    np.testing.assert_allclose(np.swapaxes(out, 0, 1), frozen_of(case, "out"), rtol=0, atol=TOLERANCE)
    assert (kept == np.asarray(pattern_of(case).counts(i, j, np.int32(0), 2))).all()


def apart(name):
    """bool[T, N] where our out and theirs differ, and the largest difference, as it was measured on their side."""
    case = named(name)
    difference = np.abs(solved(case, "in order")["out"] - frozen_of(case, "out")).max((0, 3))
    return difference > TOLERANCE, difference.max()


def measured(what):
    faults = [json.loads(str(text)) for text in frozen.arrays("patterns")["faults"]]
    (difference,) = (fault["difference"] for fault in faults if fault["what"] == what)
    return difference


def test_longlora_without_flash_attention_sees_the_end_of_the_text():
    """The first half group of the shifted heads, which is rolled next to the last one, and nothing else (issue 15)."""
    differ, most = apart("longlora_rolled")
    rows, heads = np.ogrid[: differ.shape[0], : differ.shape[1]]
    np.testing.assert_array_equal(differ, (rows < 6) & (heads >= 2))
    assert most == pytest.approx(measured("longlora: rolled around the end"), abs=TOLERANCE)


def test_longnet_takes_an_lse_of_zero_for_a_token_that_is_not_kept():
    """Token 1 with a query of zeros is the first that heads 2 and 3 keep: alone in its branch, its lse is log 1."""
    differ, most = apart("longnet_lse_zero")
    assert np.argwhere(differ).tolist() == [[1, 2], [1, 3]]
    assert most == pytest.approx(measured("longnet: an lse of exactly 0"), abs=TOLERANCE)


def test_the_authors_mixing_weights_change_the_gradients():
    """Dilated's two gradients are apart by as much as LongNet's code with and without its `no_grad`."""
    names = "longnet_ragged", "longnet_learned_mixing"
    ragged, learned = (solved(named(name), "in order")["dq"] for name in names)
    expected = measured("longnet: dq without the gradient of the mixing weights")
    assert np.abs(ragged - learned).max() == pytest.approx(expected, abs=TOLERANCE)
    assert expected > 0.5


def test_longnet_is_right_over_ranks_only_when_it_is_not_causal():
    """Its causal ranks leave out their own keys: it is the paper's equation that ours is held to, on one rank."""
    assert measured("longnet: 2 ranks, not causal") < 1e-12
    assert min(measured(f"longnet: {ranks} ranks, causal") for ranks in (2, 4)) > 1

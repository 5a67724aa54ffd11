"""The frozen numbers of third parties, and the encoding that each of their cases names in our notation.

`tests/golden/README.md` says what the files hold and the scripts in `tools/golden/` how they were made.
"""

import functools
import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from ropelab.attention import Causal
from ropelab.attention.registry import Kernel
from ropelab.contract.calls import TokenPositions, run_attention
from ropelab.encodings import (
    NTK,
    PI,
    ALiBi,
    DynamicNTK,
    DynamicPI,
    DynamicYaRN,
    Encoding,
    Llama3RoPE,
    LongRoPE,
    RoPE,
    YaRN,
)
from ropelab.encodings.yarn import yarn_attention_factor

GOLDEN = Path(__file__).parents[1] / "golden"
Case = dict[str, Any]


@functools.cache
def arrays(name: str) -> dict[str, np.ndarray]:
    with np.load(GOLDEN / f"{name}.npz") as file:
        return dict(file)


@functools.cache
def cases(name: str) -> list[Case]:
    return [json.loads(str(text)) for text in arrays(name)["cases"]]


def from_transformers(case: Case) -> Encoding:
    config, rope = case["config"], case["config"]["rope_parameters"]
    base, factor = rope["rope_theta"], rope.get("factor")
    length = rope.get("original_max_position_embeddings", config["max_position_embeddings"])
    if case["kind"] == "default":
        return RoPE(base=base)
    if case["kind"] == "linear":
        return PI(base=base, factor=factor)
    if case["kind"] == "dynamic":
        return DynamicNTK(base=base, factor=factor, original_length=length)
    if case["kind"] == "longrope":
        factor = factor or config["max_position_embeddings"] / length
        lists = {name: tuple(rope[name]) for name in ("short_factor", "long_factor")}
        return LongRoPE(base=base, factor=factor, original_length=length, **lists, **temperature(rope))
    names = ("beta_fast", "beta_slow", "truncate", "low_freq_factor", "high_freq_factor")
    cls = YaRN if case["kind"] == "yarn" else Llama3RoPE
    given = {n: rope[n] for n in names if n in rope} | temperature(rope)
    return cls(base=base, factor=factor, original_length=length, **given)


def temperature(rope: Case) -> Case:
    """What transformers makes of the three fields: a given factor wins, and the pair acts only when both are set."""
    if "attention_factor" in rope:
        return {"attention_factor": rope["attention_factor"]}
    pair = {n: rope.get(n) for n in ("mscale", "mscale_all_dim")}
    return pair if all(pair.values()) else {}


def from_authors(case: Case) -> Encoding:
    """A class of jquesnelle/yarn: `scale` is our factor, and `attn_factor` multiplies the temperature."""
    given = case["arguments"]
    base = given["base"]
    if case["kind"] == "LinearScaled":
        return PI(base=base, factor=given["scale"])
    if case["kind"] == "NTKScaled":
        return NTK(base=base, alpha=given["alpha"])
    if case["kind"] == "DynamicScaled":
        trained = given["max_position_embeddings"]
        if not given["ntk"]:
            return DynamicPI(base=base, original_length=trained)
        return DynamicNTK(base=base, factor=float(given["ntk"]), original_length=trained)
    if case["kind"] == "DynamicYaRNScaled":
        return dynamic_yarn(case)
    betas = {n: given[n] for n in ("beta_fast", "beta_slow") if n in given}
    attention = given.get("attn_factor", 1.0) * yarn_attention_factor(given["scale"])
    return YaRN(
        base=base,
        factor=given["scale"],
        original_length=given["original_max_position_embeddings"],
        attention_factor=attention,
        **betas,
    )


def dynamic_yarn(case: Case) -> Encoding:
    """A finetuned model starts as the YaRN of the length of its table and grows from there on."""
    given = case["arguments"]
    trained, table = given["original_max_position_embeddings"], given["max_position_embeddings"]
    if given.get("finetuned") and case["seq_len"] <= table:
        return YaRN(base=given["base"], factor=table / trained, original_length=trained)
    return DynamicYaRN(base=given["base"], original_length=trained)


def from_paper(case: Case) -> Encoding:
    given = dict(case["arguments"])
    return YaRN(beta_slow=given.pop("alpha"), beta_fast=given.pop("beta"), ramp="wavelength", **given)


def of_attention(case: Case) -> Encoding:
    """The encoding of a case of `attention.npz`."""
    if case["method"] == "alibi":
        return ALiBi()
    given = dict(case["arguments"])
    given |= {"pairing": case["pairing"], "rotary_dim": given.pop("dim", None)}
    name, _, ramp = case["method"].partition("_by_")
    given |= {"ramp": {"index": "index", "turns": "wavelength"}[ramp]} if ramp else {}
    classes = {"rope": RoPE, "pi": PI, "ntk": NTK, "dynamic_ntk": DynamicNTK, "yarn": YaRN}
    return classes[name](**given)


def equals_frozen_attention(case: Case, encoding: Encoding, kernel: Kernel) -> None:
    """Raise unless the kernel gives the frozen out and lse of the case for this encoding, to 2e-5."""
    file = arrays("attention")
    q_pos, k_pos = (file[f"positions/{case['positions']}/{side}"] for side in "qk")
    q = file["q"][:, :, list(case.get("query_heads", range(file["q"].shape[2])))]
    placement = TokenPositions(q_pos, k_pos, None, q.shape[1])
    out, lse = run_attention(encoding, Causal(), kernel, {}, (q, file["k"], file["v"]), placement, num_heads=q.shape[2])
    for what, actual in (("out", np.asarray(out)[:, file["out_rows"]]), ("lse", lse)):
        expected = file[f"cases/{case['name']}/{what}"]
        np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-5, err_msg=f"{what} of {case['name']}")


def equals_frozen_frequencies(row: int, encoding: Encoding, *, traced: bool = False) -> None:
    """Raise unless the encoding has the frequencies and the attention factor of this row of `frequencies.npz`."""
    file, case = arrays("frequencies"), cases("frequencies")[row]
    length = case["seq_len"] or 1
    inv_freq, amplitude = encoding.frequencies(case["head_dim"], jnp.asarray(length) if traced else length)
    expected = file["inv_freq"][row, : case["head_dim"] // 2]
    rtol = 1.2e-6 if case["kind"] == "yarn" else 1e-6  # transformers' float32 ramp is itself off by 1.12e-6
    np.testing.assert_allclose(inv_freq, expected, rtol, err_msg=f"{encoding} against {case}")
    np.testing.assert_allclose(amplitude, file["attention_factor"][row], rtol=1e-6, err_msg=f"{encoding}, {case}")

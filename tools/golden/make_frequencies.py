"""Freeze rotary frequencies and attention factors of two libraries and of one paper's formula.

Sources, named in each case's `source`:
- "transformers": 5.23.0, `ROPE_INIT_FUNCTIONS` and, for the plain type, which that table lacks,
  `LlamaRotaryEmbedding.compute_default_rope_parameters`. It computes the frequencies in float32.
- "jquesnelle/yarn": the YaRN authors' repository at commit 995db5b575e75230b3384d658f8b944c9662f775, classes of
  `scaled_rope/`. Some classes scale positions and leave `inv_freq` alone, so what is stored is what they apply: angle
  and modulus of the cos/sin tables at position 1, tables that are float32.
- "paper, float64 loop": NTK-by-parts as the YaRN paper (arXiv:2309.00071) states it, a ramp linear in the number of
  turns r = L0*theta/2pi. The YaRN of both libraries has a ramp linear in the pair index instead.

Frequencies are stored in float32, attention factors in float64.

    git clone https://github.com/jquesnelle/yarn && git -C yarn checkout 995db5b
    python tools/golden/make_frequencies.py --yarn yarn        # 10 s; writes tests/golden/frequencies.npz
"""

import argparse
import collections
import importlib.util
import itertools
import json
import math
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

OUTPUT = Path(__file__).parents[2] / "tests" / "golden" / "frequencies.npz"
BASES = (1e4, 1e5, 5e5, 1e6)
HEAD_DIMS = (16, 64, 128)
FACTORS = (2.0, 4.0, 8.0, 16.0)
LENGTHS = (2048, 8192)
PAIRS = max(HEAD_DIMS) // 2


def product(**axes):
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def lengths_around(trained):
    """Below, just above, twice and five times the trained length."""
    return (trained // 2, trained + 1, 2 * trained, 5 * trained)


# --- transformers


def hf(rope_type, *, base, head_dim, max_length, seq_len=None, **rope):
    """One call of transformers; `rope` is the rest of `rope_parameters`."""
    parameters = {"rope_type": rope_type, "rope_theta": base} | rope
    case = {
        "source": "transformers",
        "kind": rope_type,
        "head_dim": head_dim,
        "seq_len": seq_len,
        "config": {"head_dim": head_dim, "max_position_embeddings": max_length, "rope_parameters": parameters},
    }
    config = transformers.LlamaConfig(**json.loads(json.dumps(case["config"])))
    if rope_type == "default":
        inv_freq, factor = LlamaRotaryEmbedding.compute_default_rope_parameters(config)
    else:
        inv_freq, factor = ROPE_INIT_FUNCTIONS[rope_type](config, seq_len=seq_len)
    return case, inv_freq.numpy(), factor


def hf_unscaled_and_linear():
    for axes in product(base=BASES, head_dim=HEAD_DIMS):
        yield hf("default", max_length=2048, **axes)
        for factor in FACTORS:
            yield hf("linear", factor=factor, max_length=2048, **axes)


def hf_dynamic():
    for axes in product(base=BASES, head_dim=HEAD_DIMS, factor=(1.0, *FACTORS), max_length=LENGTHS):
        for seq_len in lengths_around(axes["max_length"]):
            yield hf("dynamic", seq_len=seq_len, **axes)


def hf_yarn():
    for axes in product(base=BASES, head_dim=HEAD_DIMS, factor=FACTORS, original=LENGTHS, truncate=(True, False)):
        yield hf_yarn_case(**axes)
    attention = (
        [{"attention_factor": a} for a in (0.7, 1.0, 1.3)]
        + [{"mscale": m, "mscale_all_dim": n} for m, n in ((1.0, 1.0), (0.707, 0.707), (1.0, 0.8), (0.5, 1.2))]
        + [{"mscale": 1.0, "mscale_all_dim": 0.0}, {"mscale": 0.707}, {"mscale_all_dim": 0.8}]
        + [{"attention_factor": 1.3, "mscale": 1.0, "mscale_all_dim": 0.8}]
    )
    for factor, extra in itertools.product((1.0, *FACTORS), attention):
        yield hf_yarn_case(base=1e4, head_dim=64, factor=factor, original=2048, **extra)
    for beta, truncate in itertools.product(((8.0, 2.0), (64.0, 0.5), (1.5, 1.4)), (True, False)):
        fast_slow = dict(zip(("beta_fast", "beta_slow"), beta, strict=True))
        yield hf_yarn_case(base=1e4, head_dim=64, factor=4.0, original=2048, truncate=truncate, **fast_slow)
    yield hf_yarn_case(base=150000.0, head_dim=64, factor=32.0, original=4096, truncate=False)


def hf_yarn_case(*, factor, original, **rest):
    scaled = {"factor": factor, "original_max_position_embeddings": original}
    return hf("yarn", max_length=int(factor * original), **scaled, **rest)


def hf_llama3():
    def case(low, high, *, factor, original, **rest):
        rope = {"factor": factor, "low_freq_factor": low, "high_freq_factor": high}
        rope |= {"original_max_position_embeddings": original}
        return hf("llama3", max_length=int(factor * original), **rope, **rest)

    for axes in product(base=BASES, head_dim=HEAD_DIMS, factor=FACTORS, original=LENGTHS):
        yield case(1.0, 4.0, **axes)
    yield case(1.0, 4.0, base=5e5, head_dim=64, factor=32.0, original=8192)
    yield case(2.0, 16.0, base=5e5, head_dim=128, factor=8.0, original=8192)


def hf_longrope():
    for axes in product(base=(1e4, 1e6), head_dim=HEAD_DIMS, factor=(4.0, 16.0), seq_len=(2048, 2049)):
        yield hf_longrope_case(**axes)
    for factor, extra in itertools.product((4.0, 16.0), ({"attention_factor": 1.25}, {"with_factor": False})):
        yield hf_longrope_case(base=1e4, head_dim=16, factor=factor, seq_len=2049, **extra)


def hf_longrope_case(*, head_dim, factor, with_factor=True, **rest):
    """Divisors that grow with the pair index: up to 1.5 for short texts, up to the scale factor for long ones."""
    ramp = np.linspace(0, 1, head_dim // 2)
    rope = {"short_factor": (1 + 0.5 * ramp).round(3).tolist(), "long_factor": (factor**ramp).round(3).tolist()}
    if with_factor:
        rope["factor"] = factor
    rope["original_max_position_embeddings"] = 2048
    return hf("longrope", head_dim=head_dim, max_length=int(factor * 2048), **rope, **rest)


# --- jquesnelle/yarn


class YarnRepository:
    """The rotary classes of a checkout of jquesnelle/yarn."""

    def __init__(self, root):
        self.folder = Path(root) / "scaled_rope"

    def rotary_class(self, kind):
        name = f"Llama{kind}RotaryEmbedding"
        spec = importlib.util.spec_from_file_location(name, self.folder / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return getattr(module, name)

    def __call__(self, kind, *, seq_len=None, **arguments):
        """One instance, asked for `seq_len` positions; without it for two, which no class treats as too long."""
        rotary = self.rotary_class(kind)(**arguments)
        tables = rotary(torch.zeros(1), seq_len=seq_len or 2)
        cos, sin = (table[0, 0, 1, : arguments["dim"] // 2].double().numpy() for table in tables)
        case = {
            "source": "jquesnelle/yarn",
            "kind": kind,
            "head_dim": arguments["dim"],
            "seq_len": seq_len,
            "arguments": arguments,
        }
        return case, np.arctan2(sin, cos), np.hypot(sin, cos).mean()


def repo_static(repo):
    for axes in product(base=BASES, dim=HEAD_DIMS, factor=FACTORS):
        factor = axes.pop("factor")
        yield repo("LinearScaled", scale=factor, max_position_embeddings=2, **axes)
        yield repo("NTKScaled", alpha=factor, max_position_embeddings=2, **axes)
        for original in LENGTHS:
            common = axes | {"scale": factor, "original_max_position_embeddings": original}
            yield repo("YaRNScaled", max_position_embeddings=2, **common)
            yield repo("PartNTKScaled", max_position_embeddings=2, **common)


def repo_static_options(repo):
    common = {"base": 1e4, "dim": 64, "scale": 4.0, "original_max_position_embeddings": 2048}
    common |= {"max_position_embeddings": 2}
    for options in (
        {"attn_factor": 0.9},
        {"extrapolation_factor": 0.5},
        {"extrapolation_factor": 0.0},
        {"beta_fast": 8, "beta_slow": 2},
    ):
        yield repo("YaRNScaled", **common, **options)
    for ntk_factor, extrapolation_factor in ((0.5, 1), (0, 1), (1, 0.5), (1, 0), (0.5, 0.5)):
        mixing = {"ntk_factor": ntk_factor, "extrapolation_factor": extrapolation_factor}
        yield repo("PartNTKScaled", **common, **mixing)


def repo_dynamic(repo):
    for axes in product(base=(1e4, 5e5), dim=HEAD_DIMS, max_position_embeddings=LENGTHS):
        trained = axes["max_position_embeddings"]
        for seq_len in lengths_around(trained):
            for ntk in (False, True, 4):
                yield repo("DynamicScaled", ntk=ntk, seq_len=seq_len, **axes)
            yield repo("DynamicYaRNScaled", original_max_position_embeddings=trained, seq_len=seq_len, **axes)


def repo_dynamic_yarn_finetuned(repo):
    lengths = {"max_position_embeddings": 8192, "original_max_position_embeddings": 2048}
    for dim, finetuned, seq_len in itertools.product(HEAD_DIMS, (True, False), (1024, 8192, 8193, 16384)):
        yield repo("DynamicYaRNScaled", base=1e4, dim=dim, finetuned=finetuned, seq_len=seq_len, **lengths)


# --- the paper


def paper_yarn(*, base, head_dim, factor, original_length, alpha=1.0, beta=32.0):
    inv_freq = []
    for i in range(head_dim // 2):
        theta = base ** (-2 * i / head_dim)
        turns = original_length * theta / (2 * math.pi)
        kept = min(max((turns - alpha) / (beta - alpha), 0.0), 1.0)
        inv_freq.append((1 - kept) * theta / factor + kept * theta)
    arguments = {"base": base, "factor": factor, "original_length": original_length, "alpha": alpha, "beta": beta}
    case = {
        "source": "paper, float64 loop",
        "kind": "yarn",
        "head_dim": head_dim,
        "seq_len": None,
        "arguments": arguments,
    }
    return case, np.array(inv_freq), 0.1 * math.log(factor) + 1


def paper():
    for axes in product(base=BASES, head_dim=HEAD_DIMS, factor=FACTORS, original_length=LENGTHS):
        yield paper_yarn(**axes)
    for alpha, beta in ((2.0, 8.0), (0.5, 64.0), (1.0, 4.0)):
        yield paper_yarn(base=1e4, head_dim=64, factor=4.0, original_length=2048, alpha=alpha, beta=beta)


def padded(inv_freq):
    return np.pad(np.asarray(inv_freq, np.float32), (0, PAIRS - len(inv_freq)), constant_values=np.nan)


def print_summary(cases):
    for (source, kind), count in collections.Counter((c["source"], c["kind"]) for c in cases).items():
        print(f"{source:<20} {kind:<20} {count:>4} cases")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--yarn", required=True, help="a checkout of jquesnelle/yarn")
    repo = YarnRepository(parser.parse_args().yarn)
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()

    transformers_cases = (hf_unscaled_and_linear(), hf_dynamic(), hf_yarn(), hf_llama3(), hf_longrope())
    makers = (repo_static, repo_static_options, repo_dynamic, repo_dynamic_yarn_finetuned)
    results = itertools.chain(*transformers_cases, *(maker(repo) for maker in makers), paper())
    cases, inv_freq, factors = zip(*results, strict=True)

    print_summary(cases)
    np.savez_compressed(
        OUTPUT,
        cases=np.array([json.dumps(case) for case in cases]),
        inv_freq=np.stack([padded(row) for row in inv_freq]),
        attention_factor=np.array(factors, np.float64),
    )
    print(f"{OUTPUT.name}: {len(cases)} cases, {OUTPUT.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()

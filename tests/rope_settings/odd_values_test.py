"""Whatever stands in the place of a number of a dialect, it is read and translated, or refused by a `ValueError`."""

import contextlib
import json
import math
from typing import Any

import pytest

from ropelab import rope_settings
from ropelab.rope_settings import hf, translation

L0 = "original_max_position_embeddings"
LISTS = {"short_factor": [1.0, 1.1, 1.2, 1.3], "long_factor": [1.0, 2.0, 3.0, 4.0]}
ODD = [
    0, 1, -1, 2, 7, 2**31, 2**62, 10**30, 10**400, 0.0, 1e-320, 1.0, 1.5, 1e15, 1e300, -1.0, math.nan, math.inf, True,
    False, "", "x", [], [32], [[]], {}, {"a": 1}, None,
]  # fmt: skip
ABOUT = {"model_type": "llama", "max_position_embeddings": 4096, "rope_theta": 1e4, "head_dim": 8}
HF = [
    {"rope_type": "linear", "factor": 2.0},
    {"rope_type": "dynamic", "factor": 2.0},
    {
        "rope_type": "yarn", "factor": 2.0, L0: 2048, "beta_fast": 32.0, "beta_slow": 1.0, "attention_factor": 1.1,
        "mscale": 1.0, "mscale_all_dim": 1.0, "truncate": True,
    },
    {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, L0: 512},
    {"rope_type": "longrope", "factor": 4.0, L0: 1024, "attention_factor": 1.1, **LISTS},
    {"rope_type": "proportional", "partial_rotary_factor": 0.25},
]  # fmt: skip
OTHERS = [
    {
        "llama.context_length": 4096, "llama.attention.key_length": 8, "llama.rope.freq_base": 1e4,
        "llama.rope.dimension_count": 8, "llama.rope.scaling.type": "yarn", "llama.rope.scaling.factor": 2.0,
        "llama.rope.scaling.original_context_length": 2048, "llama.rope.scaling.attn_factor": 1.0,
        "llama.rope.scaling.yarn_beta_fast": 32.0, "llama.rope.scaling.yarn_beta_slow": 1.0,
    },
    {"rope_type": "yarn", "rope_max_timescale": 10000, "rope_factor": 4.0, "beta_fast": 32,
     "max_position_embeddings": 8192},
    {"rope_type": "default", "rope_max_timescale": 10000, "rope_linear_scaling_factor": 2.0},
]  # fmt: skip


def changed(settings: dict[str, Any]) -> list[dict[str, Any]]:
    return [settings | {key: odd} for key in settings for odd in ODD]


def translated(text: str) -> bool:
    """Into every dialect that can say it; whether the text was read."""
    try:
        _, setting = translation.read(text, head_dim=8)
    except ValueError:
        return False
    for dialect in translation.DIALECTS:
        try:
            translation.write(setting, dialect, head_dim=8)
        except ValueError:
            continue
    with contextlib.suppress(ValueError):
        rope_settings.find_disagreements(setting, head_dim=8, base=1e4)
    return True


@pytest.mark.parametrize("rope", HF, ids=lambda rope: rope["rope_type"])
def test_settings_of_transformers(rope: dict[str, Any]) -> None:
    files = [ABOUT | {"rope_scaling": one} for one in changed(rope)]
    files += [one | {"rope_scaling": rope} for one in changed(ABOUT)]
    files += [ABOUT | {"rope_parameters": rope, "rope_scaling": one} for one in changed(rope)]
    read = [translated(json.dumps(one)) for one in files]
    assert any(read)
    assert not all(read)


@pytest.mark.parametrize("settings", OTHERS, ids=["gguf", "maxtext yarn", "maxtext linear"])
def test_settings_of_other_engines(settings: dict[str, Any]) -> None:
    assert translated(json.dumps(settings))
    assert not all(translated(json.dumps(one)) for one in changed(settings))


@pytest.mark.parametrize(
    "text",
    [
        "--rope-scaling yarn --rope-scale {} --yarn-orig-ctx 8192",
        "--rope-scaling yarn --rope-scale 4 --yarn-orig-ctx {}",
        "--rope-freq-base {} --rope-freq-scale 0.5 -c 8192",
        "--rope-freq-base 10000 --rope-freq-scale {} -c 8192",
        "--rope-freq-base 10000 --rope-freq-scale 0.5 -c {}",
        "--yarn-attn-factor {} --rope-scaling yarn --rope-scale 4 --yarn-orig-ctx 8192",
        "alpha_value={} compress_pos_emb=1",
        "alpha_value=2 compress_pos_emb={} max_seq_len=8192",
        "alpha_value=2 compress_pos_emb=1 max_seq_len={}",
        "rope_freq_base={}",
        "rope_type=yarn rope_factor={}",
        "NTK(base=1e4, alpha={})",
        "YaRN(base=1e4, factor={}, original_length=8192)",
    ],
)
def test_options(text: str) -> None:
    for odd in ODD:
        translated(text.format("9" * 400 if odd == 10**400 else odd))


@pytest.mark.parametrize("original", [0, False, "", [32], -1, 1.5, 10**400])
def test_an_original_length_that_is_none_is_refused(original: Any) -> None:
    rope = {"rope_type": "longrope", L0: original, **LISTS}
    with pytest.raises(ValueError, match=L0):
        hf.read(ABOUT | {"rope_scaling": rope})

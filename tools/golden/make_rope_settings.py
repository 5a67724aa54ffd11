"""What transformers 4 and 5 read of the rope settings that ropelab writes → rope_settings.json.

    python -m tools.golden.make_rope_settings                        what ropelab writes, and no readings
    python4 tools/golden/make_rope_settings.py                       adds the readings of the transformers installed
    python5 tools/golden/make_rope_settings.py

The last two in environments with `pip install transformers==4.56.2` and `transformers==5.24.0`; neither needs torch.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[2] / "tests" / "golden" / "rope_settings.json"
HEAD_DIM, LENGTH = 8, 4096
SIZES = {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2, "head_dim": HEAD_DIM}
LISTS = "short_factor=(1.0, 1.0, 1.1, 1.2), long_factor=(1.0, 2.0, 3.0, 4.0)"
CASES = {  # name → model_type, spec of the encoding, context length
    "plain": ("llama", "RoPE(base=1e5)", LENGTH),
    "linear": ("llama", "PI(base=1e5, factor=2.0)", LENGTH),
    "ntk": ("llama", "NTK(base=1e5, alpha=4.0)", LENGTH),
    "dynamic": ("llama", "DynamicNTK(base=1e5, factor=2.0, original_length=1024)", None),
    "yarn": ("llama", "YaRN(base=1e5, factor=4.0, original_length=1024)", LENGTH),
    "yarn in full": (
        "llama",
        "YaRN(base=1e5, factor=8.0, original_length=512, beta_fast=16.0, beta_slow=2.0, attention_factor=1.5, "
        "truncate=False)",
        LENGTH,
    ),
    "yarn with mscale": (
        "llama", "YaRN(base=1e5, factor=4.0, original_length=1024, mscale=1.0, mscale_all_dim=0.8)", LENGTH
    ),
    "llama3": ("llama", "Llama3RoPE(base=5e5, factor=8.0, original_length=512)", LENGTH),
    "longrope": ("llama", f"LongRoPE(base=1e5, factor=4.0, original_length=1024, {LISTS})", LENGTH),
    "longrope of another factor": ("llama", f"LongRoPE(base=1e5, factor=2.0, original_length=1024, {LISTS})", LENGTH),
    "longrope with a temperature": (
        "llama", f"LongRoPE(base=1e5, factor=4.0, original_length=1024, attention_factor=1.25, {LISTS})", LENGTH
    ),
    "a part, phi": ("phi", "RoPE(base=1e5, rotary_dim=4)", LENGTH),
    "a part, stablelm": ("stablelm", "RoPE(base=1e5, rotary_dim=2)", LENGTH),
    "a part, gpt_neox": ("gpt_neox", "RoPE(base=1e5, rotary_dim=4)", LENGTH),
}  # fmt: skip


def written() -> dict[str, Any]:
    """The config.json of every case as ropelab writes it."""
    from ropelab import encodings, rope_settings

    return {
        name: SIZES
        | rope_settings.to_hf(encodings.parse(spec), head_dim=HEAD_DIM, context_length=length, model_type=model_type)
        for name, (model_type, spec, length) in CASES.items()
    }


def read(settings: dict[str, Any]) -> dict[str, Any]:
    """What the configuration class of the installed transformers holds of the rope settings of a file."""
    from transformers import AutoConfig, __version__

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(settings))
        config = AutoConfig.from_pretrained(folder)
    names = ["max_position_embeddings", "original_max_position_embeddings"]
    # 4 keeps unknown keys of the file as attributes that nothing reads, rope_parameters among them
    four = __version__.startswith("4.")
    names += ["rope_theta", "rope_scaling", "partial_rotary_factor"] if four else ["rope_parameters"]
    return {name: getattr(config, name, None) for name in names}


if __name__ == "__main__":
    if __package__:
        FILE.write_text(json.dumps({"written": written()}, indent=1) + "\n")
    else:
        import transformers

        found = json.loads(FILE.read_text())
        found[transformers.__version__] = {name: read(settings) for name, settings in found["written"].items()}
        FILE.write_text(json.dumps(found, indent=1) + "\n")

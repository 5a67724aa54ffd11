"""Both meanings of a length-dependent encoding, untuned, to twice the trained length of SmolLM2-135M-Instruct.

The weights of "smollm2" are those of a Q4_1 GGUF, computed in float32.

Reproduces: NTK-aware and dynamic NTK (2023) and YaRN's dynamic scaling (arXiv 2309.00071, section 3.3) under
per="sequence", as transformers computes them; no paper has them under per="query".

    python -m experiments.swap --config=configs/growing_smollm2.py --workdir=runs/growing_smollm2

Time: about a quarter of an hour on two CPU cores. Expected: per query is as trained within 8192 tokens, and beyond as
good as its twin per sequence or better.
"""

from ml_collections import ConfigDict

TWINS = (
    "DynamicNTK(factor=1.0, original_length=8192{})",
    "DynamicNTK(factor=2.0, original_length=8192{})",
    "DynamicYaRN(original_length=8192{})",
)


def get_config() -> ConfigDict:
    return ConfigDict(
        {
            "model": "smollm2",
            "encodings": "; ".join(twin.format(per) for twin in TWINS for per in ("", ", per='query'")),
            "lengths": (16384,),
            "windows": 1,
            "text": "python-reference",
            "edges": (4096, 8192, 12288, 16384),
            "last": 1024,
            "dtype": "float32",
            "kernel": "auto",
        }
    )

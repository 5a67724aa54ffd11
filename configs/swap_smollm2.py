"""Untuned extension of SmolLM2-135M-Instruct (trained on 8192 tokens) beyond its trained length.

The weights of "smollm2" are those of a Q4_1 GGUF, computed in float32.

Reproduces: the setting of the NTK-aware and dynamic-NTK posts (2023) and of YaRN's figure 5 on a small model: what a
swapped encoding does with no fine-tuning at all.

    python -m experiments.swap --config=configs/swap_smollm2.py --workdir=runs/swap_smollm2

Time: about seven minutes on two CPU cores. Expected: within 8192 tokens the unchanged model is best; beyond, it breaks
down, PI is worst of the extensions, and NTK, DynamicNTK and YaRN stay close to the unchanged model on chopped text.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    return ConfigDict(
        {
            "model": "smollm2",  # or a .gguf file, a Hugging Face directory or hub id
            "encodings": "PI(factor=2.0); NTK(alpha=2.0); DynamicNTK(factor=1.0, original_length=8192); "
            "YaRN(factor=2.0, original_length=8192)",  # arms, separated by ;
            "lengths": (4096, 12288),
            "windows": 1,  # documents, the first ones of the text
            "text": "python-reference",  # or "python-stdlib", a UTF-8 file, or a folder
            "edges": (1024, 2048, 4096, 8192, 12288, 16384, 32768, 65536),
            "last": 1024,
            "dtype": "float32",
            "kernel": "auto",
        }
    )

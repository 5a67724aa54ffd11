"""What length-dependent encodings mean when a text is decoded: SmolLM2-135M-Instruct across its 8192 trained tokens.

The weights of "smollm2" are those of a Q4_1 GGUF, computed in float32.

Reproduces: transformers#25104 as a perplexity. No paper has this table.

    python -m experiments.decoding --config=configs/decode_smollm2.py --workdir=runs/decode_smollm2

Time: about fifteen minutes on two CPU cores. Expected: reading a text at once and decoding it differ under
per="sequence" and agree under per="query".
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    return ConfigDict(
        {
            "model": "smollm2",
            "encodings": "DynamicPI(original_length=8192); DynamicNTK(factor=1.0, original_length=8192); "
            "DynamicYaRN(original_length=8192)",  # length-dependent ones, separated by ;
            "first": 8192,  # tokens before it are read as a prompt
            "length": 9216,
            "text": "python-reference",
            "dtype": "float32",
            "kernel": "auto",
        }
    )

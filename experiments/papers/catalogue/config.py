"""Every encoding of the library inside SmolLM2-135M-Instruct: receipt, perplexity and generated text.

The weights of "smollm2" are those of a Q4_1 GGUF, computed in float32.

    python -m experiments.papers.catalogue.table --workdir=runs/catalogue

Time: about ten minutes on two CPU cores, most of it compilation. Expected: encodings that keep short distances as they
are (PI aside, the whole rotary family; the distance remappings) leave the text sensible; others need training.
"""

from ml_collections import ConfigDict

DIVISORS = tuple(round(1 + 3 * (i / 31) ** 2, 4) for i in range(32))
ENCODINGS = (
    "NoPE()",
    "RoPE()",
    "PI(factor=2.0)",
    "NTK(alpha=2.0)",
    "NTKByParts(factor=2.0, original_length=8192)",
    "NTKMixed(factor=2.0)",
    "YaRN(factor=2.0, original_length=8192)",
    "Llama3RoPE(factor=2.0, original_length=8192)",
    "DynamicPI(original_length=128)",
    "DynamicPI(original_length=128, per='query')",
    "DynamicNTK(factor=2.0, original_length=128)",
    "DynamicNTK(factor=2.0, original_length=128, per='query')",
    "DynamicYaRN(original_length=128)",
    "DynamicYaRN(original_length=128, per='query')",
    f"LongRoPE(factor=4.0, original_length=128, short_factor={(1.0,) * 32}, long_factor={DIVISORS})",
    f"LongRoPE(factor=4.0, original_length=128, short_factor={(1.0,) * 32}, long_factor={DIVISORS}, per='query')",
    "ProportionalRoPE(fraction=0.75)",
    "ResonanceRoPE(inner=RoPE())",
    "ClippedRoPE()",
    "HoPE(original_length=8192)",
    "FoPE(original_length=8192)",
    "XPos()",
    "PoPE()",
    "ALiBi()",
    "T5Bias()",
    "KERPLE(kind='log')",
    "KERPLE(kind='power')",
    "Sandwich()",
    "FIRE()",
    "CoPE(max_position=64)",
    "ReRoPE(window=128)",
    "LeakyReRoPE(window=128, k=4.0)",
    "SelfExtend(group=4, window=128)",
    "DualChunk(chunk=128, local=32)",
    "LogN(inner=RoPE(), original_length=128)",
    "ScalableSoftmax(inner=RoPE())",
    "Temperature(inner=RoPE(), interval=128)",
    "Sinusoidal(layout='interleaved')",
    "LearnedAbsolute(max_length=8192)",
    "Layers((RoPE(), RoPE(), RoPE(), NoPE()))",
)


def get_config() -> ConfigDict:
    return ConfigDict(
        {
            "model": "smollm2",
            "encodings": "; ".join(ENCODINGS),
            "length": 512,  # tokens whose perplexity is measured
            "text": "python-reference",
            "prompt": "The capital of France is",
            "max_new_tokens": 12,
            "dtype": "float32",
            "kernel": "auto",
        }
    )

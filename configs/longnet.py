"""LongNet: the paper's language model, and the same shape for a laptop.

Reproduces: the model of table 2 of arXiv 2307.02486 (section 4.1), to be made from scratch; its weights were never
released.

    model, encoding, pattern = parse(config.model), encodings.parse(config.encoding), patterns.parse(config.pattern)
    from_scratch(model, encoding, pattern, seed=config.seed, dtype=config.dtype)

Sizes: 12 layers, width 768, 12 heads, feed-forward 4 x 768, the 100277 tokens of cl100k_base, 32768 tokens of context;
239 million parameters, of which embedding and head, not tied in torchscale's default, are 154. `tiny` has 0.9
million and the bytes as its vocabulary.

The paper prints segments of 2048, 4096, 8192, 16384, 32768 with rates 1, 2, 4, 6, 12. 16384 is no multiple of 6, nor
32768 of 12: its code then misaligns queries and keys, and `Dilated` refuses. Kept here are the lengths, which shards of
a sequence divide evenly, with the powers of two nearest to those rates, 8 and 16. So both lists are the geometric
sequences that its text asks for; the longest branches keep 1/8 and 1/16 of the tokens and not 1/6 and 1/12. At rate
16 the offsets 12 to 15 belong to none of 12 heads, so that a quarter of the tokens is not in the longest branch at all.
The other way out is segments of 16386 and 32772 with the rates as printed:

    --config.pattern="Dilated(segments=(2048, 4096, 8192, 16386, 32772), rates=(1, 2, 4, 6, 12))"
"""

from ml_collections import ConfigDict

from ropelab.models.longnet import LongNetConfig, geometric

PAPER = LongNetConfig(
    vocabulary=100277,
    width=768,
    layers=12,
    heads=12,
    head_dim=64,
    feed_forward=3072,
    norm_eps=1e-5,
    trained_length=32768,
)
TINY = LongNetConfig(
    vocabulary=256,
    width=128,
    layers=4,
    heads=4,
    head_dim=32,
    feed_forward=512,
    norm_eps=1e-5,
    trained_length=1024,
)
SIZES = {"paper": (PAPER, geometric(2048, 32768)), "tiny": (TINY, geometric(128, 1024))}


def get_config(size: str = "paper") -> ConfigDict:
    """`--config=configs/longnet.py` for the paper's size, `--config=configs/longnet.py:tiny` for the small one."""
    if size not in SIZES:
        raise ValueError(f"no size {size!r} of LongNet; there are {', '.join(SIZES)}")
    model, pattern = SIZES[size]
    return ConfigDict(
        {
            "model": repr(model),
            "encoding": "XPos(base=10000.0, pairing='interleaved')",
            "pattern": repr(pattern),
            "seed": 0,
            "dtype": "float32",
            "kernel": "auto",
        }
    )

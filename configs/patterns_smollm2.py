"""Attention patterns in SmolLM2-135M-Instruct, which was trained to see everything: perplexity by position, untuned.

The weights of "smollm2" are those of a Q4_1 GGUF, computed in float32.

Reproduces: the collapse of a plain window when the first tokens leave it, and its cure by a few sinks (StreamingLLM,
arXiv 2309.17453, figure 3; LM-Infinite, arXiv 2308.16137, whose mask comes with bounded distances); beside them LEX's
blockwise attention, and LongLoRA's shifted groups and LongNet's dilation, with which a model is meant to be trained.

    python -m experiments.swap --config=configs/patterns_smollm2.py --workdir=runs/patterns_smollm2

Time: about four minutes on two CPU cores. Expected: every arm but the dilated one is the unchanged model until it hides
something (from token 1024 on; 512 under ShiftedSparse, 2048 under BlockwiseCausal). Perplexity of the last 1024 tokens:
unchanged 7.7, Sinks and LambdaMask + ReRoPE 8.0, blocks 13.5, a plain window 13.8, dilation 16.9, shifted groups 17.8.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    return ConfigDict(
        {
            "model": "smollm2",
            "encodings": "SlidingWindow(window=1024); Sinks(sinks=4, window=1020); "
            "LambdaMask(starting=10, local=1014) + ReRoPE(window=1014); BlockwiseCausal(block=2048); "
            "ShiftedSparse(group=1024); Dilated(segments=(1024, 4096), rates=(1, 4))",
            "lengths": (4096,),
            "windows": 1,
            "text": "python-reference",
            "edges": (512, 1024, 1536, 2048, 3072, 4096),
            "last": 1024,
            "dtype": "float32",
            "kernel": "auto",
        }
    )

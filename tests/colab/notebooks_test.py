"""The notebooks of colab/: paired with their text, without outputs, importing and calling alone, and running."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jupytext
import nbclient
import nbformat
import pytest

from tests.models import tiny

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "colab").glob("*.ipynb"))
BADGE = (
    "[![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
    "(https://colab.research.google.com/github/ropelab/ropelab/blob/main/colab/{name})"
)
MAGIC = re.compile(r"^(\s*)[!%].*$", re.MULTILINE)
FILE = "%%writefile"
DEFINED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)

BYTE_MODEL = (
    "LlamaConfig(vocabulary=256, width=16, layers=1, heads=2, key_heads=2, head_dim=8, feed_forward=16, "
    "norm_eps=1e-5, trained_length=64, tied_head=True)"
)
TRAINING = [
    f"--config.model={BYTE_MODEL}",
    "--config.steps=2",
    "--config.batch=2",
    "--config.optimizer.warmup=0",
    "--config.held.lengths=32,64",
    "--config.held.tokens=256",
]
TINY: dict[str, dict[str, Any]] = {
    "01_swap_a_pretrained_model": {"lengths": "16,48", "words": 2},
    "02_train_and_extrapolate": {"arms": ("xpos",), "settings": TRAINING},
    "03_attention_resolution": {"lengths": [8, 16], "block": 8},
    "04_extend_with_lora": {"length": 16, "steps": 3},
    "05_bring_your_own_encoding": {"lengths": "48", "settings": TRAINING},
}


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def code(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_all_five_are_there():
    assert [path.stem for path in NOTEBOOKS] == list(TINY)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_text_and_notebook_are_the_same(path: Path):
    notebook, text = (cells(one) for one in (read(path), jupytext.read(path.with_suffix(".py"))))
    assert notebook == text, f"make them so: python -m jupytext --sync colab/{path.name}"


def cells(notebook: Any) -> list[tuple[str, str, dict[str, Any]]]:
    return [(cell.cell_type, cell.source, dict(cell.metadata)) for cell in notebook.cells]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_not_stored(path: Path):
    assert [(c.outputs, c.execution_count) for c in code(read(path))] == [([], None)] * len(code(read(path)))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_badge_opens_this_notebook(path: Path):
    first = read(path).cells[0]
    assert first.cell_type == "markdown"
    assert first.source.startswith("# ")
    assert BADGE.format(name=path.name) in first.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_cells_import_and_call(path: Path):
    for cell in code(read(path)):
        if cell.source.startswith(FILE):
            assert path.stem.startswith("05")
            continue
        tree = ast.parse(MAGIC.sub(r"\1pass", cell.source))
        assert not [n for n in ast.walk(tree) if isinstance(n, DEFINED)], cell.source
        assert not re.search(r"^\s*(import|from) torch\b", cell.source, re.MULTILINE)
        calls = [line for line in cell.source.splitlines() if re.search(r"\.(main|run)\(", line)]
        assert all(line.strip().startswith("assert ") for line in calls), "an exit code that nobody reads"


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_from_top_to_bottom(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """With a tiny model in the place of SmolLM2, and few steps."""
    model = tiny.write(tmp_path / "model", tokenizer=True)
    (model / "tokenizer_config.json").write_text('{"eos_token": "<end>"}')
    own = {"workdir": str(tmp_path / "out"), "model": str(model)}
    notebook = read(path)
    (at,) = (n for n, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", ()))
    changed = "\n".join(f"{name} = {value!r}" for name, value in (own | TINY[path.stem]).items())
    notebook.cells.insert(at + 1, nbformat.v4.new_code_cell(changed))
    one_device = os.environ["XLA_FLAGS"].replace("--xla_force_host_platform_device_count=8", "")
    monkeypatch.setenv("XLA_FLAGS", one_device)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    place = {"metadata": {"path": str(ROOT / "colab")}}
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=place).execute()
    assert not [o for cell in code(notebook) for o in cell.outputs if o.output_type == "error"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_clone_that_failed_is_named(path: Path, tmp_path: Path):
    (setup,) = (cell.source for cell in code(read(path)) if "os.chdir" in cell.source)
    lines = setup[setup.index("roots = ") : setup.index("os.chdir")]
    away = tmp_path / "far" / "away"
    away.mkdir(parents=True)
    words = [sys.executable, "-c", f"from pathlib import Path\n{lines}"]
    done = subprocess.run(words, cwd=away, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "AssertionError: the repository could not be cloned" in done.stderr
    assert setup.index("git clone failed") < setup.index("pip install"), "nothing is installed of what is not there"

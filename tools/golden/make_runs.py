"""Freeze the folders of two runs, so that a later version still loads and resumes what this one wrote.

    python tools/golden/make_runs.py        # 1 min; writes tests/golden/runs.tar.gz

`first` trains all parameters from random ones on a synthetic task, with a second phase from step 5 on; `second` begins
from `first` and trains LoRA under YaRN on text. Both are as after a crash between the last step and its checkpoint: six
steps are in their tables, and the only checkpoint is that of step 3. The frozen file was written by ropelab 8c6ce41;
the script freezes the version that it runs under, so give a new file another name (`--name`).
"""

import argparse
import gzip
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODEL = (
    "LlamaConfig(vocabulary=256, width=8, layers=2, heads=2, key_heads=1, head_dim=4, feed_forward=16, norm_eps=1e-5, "
    "trained_length=16, tied_head=True)"
)
SHARED = {
    "steps": 6,
    "seed": 3,
    "saving.every": 3,
    "saving.keep": 2,
    "mesh.data": 1,
    "optimizer.lr": 1e-2,
    "optimizer.warmup": 2,
    "held.every": 3,
    "held.tokens": 128,
    "held.lengths": "16,24",
    "held.patterns": "Causal(); SlidingWindow(window=8)",
}
RUNS = {
    "first": {
        "model": MODEL,
        "encoding": "RoPE(base=100.0)",
        "phases": "Phase(start=5, length=24, batch=4)",
        "length": 16,
        "batch": 8,
        "data.source": "Copy(symbols=16)",
        "compute.accumulate": 2,
        "guard.spike": 100.0,
    },
    "second": {
        "model": "first",
        "encoding": "YaRN(factor=2.0, original_length=16)",
        "adaptation": "LoRA(rank=2, alpha=4.0, also=('norms',))",
        "length": 32,
        "batch": 2,
        "data.source": "local_text:texts",
        "data.test_split": "train[:20%]",
        "data.split": "train[20%:]",
        "data.packing": "first_fit",
        "data.separate_documents": "True",
        "compute.remat": "layers",
    },
}
TEXTS = 10


def write_texts(folder: Path) -> None:
    folder.mkdir()
    for number in range(TEXTS):
        words = " ".join(str((number + 1) * k * k % 101) for k in range(20 + 5 * number))
        (folder / f"{number}.txt").write_text(words + "\n")


def train(name: str, folder: Path) -> None:
    fields = {f"--config.{field}={value}" for field, value in (SHARED | RUNS[name]).items()}
    command = [sys.executable, "-m", "experiments.train", f"--config={ROOT / 'configs/smoke.py'}"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([*command, *sorted(fields), f"--workdir={name}"], cwd=folder, env=environment, check=True)


def freeze(folder: Path, name: str) -> None:
    shutil.rmtree(folder / name / "checkpoints" / "6")
    shutil.rmtree(folder / name / "tensorboard")
    (folder / name / "lock").unlink()


def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.mtime = entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", default="runs")
    output = ROOT / "tests/golden" / f"{parser.parse_args().name}.tar.gz"
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        write_texts(folder / "texts")
        for name in RUNS:
            train(name, folder)
            freeze(folder, name)
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    tar.add(path, str(path.relative_to(folder)), filter=plain)
    output.write_bytes(gzip.compress(archive.getvalue(), mtime=0))


if __name__ == "__main__":
    main()

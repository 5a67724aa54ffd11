"""A training that cannot be: exit code 2 and one line that says what is wrong and what to give, before anything is
compiled and without a trace in the workdir."""

import sys
from pathlib import Path
from typing import Any

import jax
import pytest

from ropelab.cli import train
from ropelab.training import trainer
from tests.models import tiny
from tests.training.tiny import MODEL

COMPILED: list[str] = []
jax.monitoring.register_event_duration_secs_listener(
    lambda name, seconds, **_: COMPILED.append(name) if "backend_compile" in name else None
)
USUAL: dict[str, Any] = {
    "model": MODEL,
    "encoding": "RoPE(base=100.0)",
    "length": 16,
    "batch": 8,
    "steps": 10,
    "optimizer.warmup": 2,
    "data.source": "Copy(symbols=16)",
    "held.lengths": "16",
    "held.tokens": 256,
}
SEQUENCE = {"mesh.data": 4, "mesh.sequence": 2}
OF_BYTES = {"model": MODEL.replace("vocabulary=32", "vocabulary=256")}
LONGNET = (
    "LongNetConfig(vocabulary=32, width=16, layers=2, heads=2, head_dim=8, feed_forward=32, norm_eps=1e-5, "
    "trained_length=16)"
)
Changes = dict[str, Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models to begin from, and a file to configure with that is wrong."""
    folder = tmp_path_factory.mktemp("train_refusals")
    tiny.write(folder / "base", tokenizer=True)
    tiny.write(folder / "mute")
    (folder / "plain.py").write_text("def get_config():\n    return {'optimizer': {'lrr': 1.0}}\n")
    (folder / "broken.py").write_text("import nothing_of_this_name\n")
    (folder / "flat.py").write_text("def get_config():\n    return {'optimizer': 3e-4}\n")
    (folder / "other.py").write_text("CONFIG = {}\n")
    return folder


@pytest.fixture(autouse=True)
def no_step(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("a step was taken")

    monkeypatch.setattr(trainer, "train_step", never)


def refuse(folder: Path, capsys: pytest.CaptureFixture, *argv: str) -> str:
    """The line that a refused command prints."""
    COMPILED.clear()
    assert train.main(["train", f"--workdir={folder / 'out'}", *argv]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("error: ")
    assert not COMPILED
    assert not (folder / "out" / "plan.json").exists()
    return line


def refuse_fields(folder: Path, capsys: pytest.CaptureFixture, changes: Changes) -> str:
    fields = USUAL | {name: str(value).replace("{folder}", str(folder)) for name, value in changes.items()}
    argv = (f"--config.{name}={value}" for name, value in fields.items())
    return refuse(folder, capsys, "--config=configs/smoke.py", *argv)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer.lrr": 1}, "config.optimizer has no field 'lrr'. Did you mean lr? It has: b1, b2, clip"),
        ({"optimiser.lr": 1}, "config has no field 'optimiser'. Did you mean optimizer?"),
        ({"data.sources": "x"}, "config.data has no field 'sources'. Did you mean source?"),
        ({"steps.every": 1}, "config.steps is a value and has no field 'every'"),
        ({"optimizer": 1}, "config.optimizer is not one field; it has: b1, b2"),
        ({"optimizer.lr": "abc"}, "config.optimizer.lr='abc' is not allowed; it takes a number"),
        ({"steps": "ten"}, "config.steps='ten' is not allowed; it takes an integer"),
        ({"steps": 1.5}, "config.steps='1.5' is not allowed; it takes an integer"),
        ({"data.separate_documents": "maybe"}, "separate_documents='maybe' is not allowed; it takes True or False"),
        ({"held.lengths": "16,abc"}, "lengths='16,abc' is not allowed"),
        ({"data.tokenizer": "words"}, 'tokenizer=\'words\' is not allowed; it takes "bytes" or "model"'),
        ({"data.packing": "first"}, 'packing=\'first\' is not allowed; it takes "concatenate" or "first_fit"'),
        ({"optimizer.rule": "adam"}, 'rule=\'adam\' is not allowed; it takes "adamw" or "lion" or "sgd"'),
        ({"optimizer.schedule": "cosin"}, 'it takes "constant" or "linear" or "cosine"'),
        ({"compute.dtype": "float31"}, 'it takes "float32" or "bfloat16" or "float16"'),
        ({"compute.remat": "layrs"}, "remat='layrs' is not one of nothing, products, layers"),
        ({"compute.kernel": "fast"}, "unknown kernel 'fast'; there are dense, blockwise"),
        ({"compute.kernel": "Ring(layout='zig')"}, 'layout=\'zig\' is not allowed; it takes "natural" or "zigzag"'),
    ],
)
def test_a_name_or_a_type_that_cannot_be(
    changes: Changes, message: str, folder: Path, capsys: pytest.CaptureFixture
) -> None:
    assert message in refuse_fields(folder, capsys, changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoding": "Rope(base=1e4)"}, "config.encoding: unknown encoding 'Rope'. Did you mean RoPE?"),
        ({"encoding": "RoPE(bas=1e4)"}, "config.encoding: RoPE has no field 'bas'. Did you mean base?"),
        ({"encoding": "YaRN(factor=2.0)"}, "YaRN needs original_length="),
        ({"encoding": "RoPE"}, "base is not known; give base="),
        ({"encoding": ""}, "random parameters has no encoding of its own; give one, encoding=RoPE(base=10000.0)"),
        ({"encoding": "nowhere.py:Mine()"}, "no encoding can be read from nowhere.py"),
        ({"pattern": "Casual()"}, "config.pattern: unknown pattern 'Casual'. Did you mean Causal?"),
        ({"pattern": "ShiftedSparse(groups=4)"}, "has no field 'groups'. Did you mean group?"),
        ({"pattern": "ShiftedSparse(group=5)"}, "group=5 must be even"),
        ({"held.patterns": "Causal(); Cusal()"}, "config.held.patterns: unknown pattern 'Cusal'"),
        ({"adaptation": "Lora(rank=4)"}, "config.adaptation: unknown adaptation 'Lora'. Did you mean LoRA?"),
        ({"adaptation": "LoRA(rnk=4)"}, "LoRA has no field 'rnk'. Did you mean rank?"),
        ({"adaptation": "LoRA(rank=0)"}, "rank=0 must be at least 1"),
        ({"adaptation": "LoRA(targets=('q_proj',))"}, 'it takes "q" or "k" or "v" or "o"'),
        ({"adaptation": "LoRA(also=('heads',))"}, 'it takes "embedding" or "norms" or "head"'),
        ({"data.positions": "Pose(length=32)"}, "unknown position sampler 'Pose'. Did you mean PoSE?"),
        ({"data.positions": "PoSE()"}, "PoSE needs length="),
        ({"phases": "Phaze(start=5)"}, "unknown part of a phase 'Phaze'. Did you mean Phase?"),
        ({"phases": "Phase(start=5, lenght=8)"}, "Phase has no field 'lenght'. Did you mean length?"),
        ({"phases": "Phase(length=8)"}, "Phase needs start="),
        ({"phases": "RoPE(base=1e4)"}, "RoPE(base=10000.0) is no phase; write Phase(start=950, length=8192)"),
        ({"data.source": "Coppy(symbols=3)"}, "unknown task 'Coppy'. Did you mean Copy?"),
        ({"data.source": "Copy(symbol=3)"}, "Copy has no field 'symbol'. Did you mean symbols?"),
        ({"model": MODEL.replace("Llama", "Lama")}, "unknown model 'LamaConfig'. Did you mean LlamaConfig?"),
        ({"model": MODEL.replace("width", "widht")}, "LlamaConfig has no field 'widht'. Did you mean width?"),
    ],
)
def test_a_spec_that_cannot_be(changes: Changes, message: str, folder: Path, capsys: pytest.CaptureFixture) -> None:
    assert message in refuse_fields(folder, capsys, changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps=0 must be at least 1"),
        ({"batch": 0}, "batch=0 must be at least 1"),
        ({"length": 0}, "length=0 must be at least 1"),
        ({"seed": -1}, "seed=-1 must be at least 0"),
        ({"optimizer.lr": -1}, "config.optimizer: lr=-1.0 must be positive"),
        ({"optimizer.warmup": 10}, "warmup=10 must be less than the 10 steps"),
        ({"compute.accumulate": 0}, "accumulate=0 must be at least 1"),
        ({"held.lengths": 0}, "lengths=(0,) must be at least 1"),
        ({"held.tokens": 1}, "tokens=1 has nothing to predict; give more, or 0"),
        ({"saving.keep": 0}, "keep=0 must be at least 1"),
        ({"guard.spike": 0.5}, "spike=0.5 must be 0 (off) or more than 1"),
        ({"mesh.data": 0}, "data=0 must be at least 1, or -1 for the rest"),
        ({"mesh.data": -1, "mesh.fsdp": -1}, "only one axis can be -1"),
        ({"phases": "Phase(start=5); Phase(start=3)"}, "phases must start one after another, not at [5, 3]"),
        ({"phases": "Phase(start=50)"}, "a phase starts at 50 and steps=10 is the end; start it before"),
    ],
)
def test_a_value_that_cannot_be(changes: Changes, message: str, folder: Path, capsys: pytest.CaptureFixture) -> None:
    assert message in refuse_fields(folder, capsys, changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": MODEL.replace("head_dim=8", "head_dim=7")}, "RoPE: head_dim=7 must be even"),
        ({"model": MODEL.replace("key_heads=2", "key_heads=3")}, "heads=2 must be a multiple of key_heads=3"),
        ({"encoding": "LearnedAbsolute(max_length=64, width=8)"}, "its vectors are 8 wide and the model's 16"),
        ({"model": "{folder}/base", "encoding": "RoPE(rotary_dim=18)"}, "rotary_dim=18 exceeds head_dim=16"),
        ({"pattern": "ShiftedSparse(group=12)"}, "does not divide windows of length=16; give group=8"),
        ({"phases": "Phase(start=2, pattern=Grouped(group=5))"}, "does not divide windows of length=16; give group=4"),
        ({"batch": 12}, "batch=12 does not divide into 1 parts of rows for 8 devices; give a multiple of 8"),
        (
            {"compute.accumulate": 3},
            "batch=8 does not divide into 3 parts of rows for 8 devices; give a multiple of 24",
        ),
        ({"phases": "Phase(start=5, batch=3)"}, "batch=3 does not divide"),
        ({"mesh.data": 3}, "there are 8 devices and the axes make 3"),
        (
            SEQUENCE,
            "mesh.sequence=2 cuts the tokens, so attention needs an exchange, and compute.kernel='auto' is none",
        ),
        (SEQUENCE, 'give compute.kernel="Ring()"'),
        (SEQUENCE | {"compute.kernel": "Ring()", "length": 18}, "18 tokens do not divide into 4 parts"),
        (SEQUENCE | {"compute.kernel": "Ring()", "held.lengths": "16,18"}, "18 tokens do not divide into 4 parts"),
        (SEQUENCE | {"compute.kernel": "Ring()", "encoding": "CoPE(max_position=16)"}, "take AllGather()"),
        (SEQUENCE | {"compute.kernel": "SparseGather()"}, "not Causal(); take Ring()"),
        ({"compute.kernel": "splash"}, "it runs on a TPU, and jax is on cpu"),
        (
            {"encoding": "LearnedAbsolute(max_length=16)", "held.lengths": "16,32"},
            "has 16 positions, and 32 in a window",
        ),
        (
            {"encoding": "LearnedAbsolute(max_length=16)", "data.positions": "PoSE(length=64)"},
            "64 in data.positions are asked for; give it more, or cut these",
        ),
        ({"phases": "Phase(start=5, encoding=LearnedAbsolute(max_length=8))"}, "has 8 positions, and 16 in a window"),
        ({"data.positions": "PoSE(length=8)"}, "a window of 16 tokens does not fit; use 1 to 8"),
        ({"phases": "Phase(start=5, length=2)"}, "needs a window of at least 4 tokens"),
        ({"data.tokenizer": "model"}, 'tokenizer="model", but this model has no tokenizer; use tokenizer="bytes"'),
        ({"model": "{folder}/mute", "data.tokenizer": "model"}, 'use tokenizer="bytes"'),
        ({"data.source": "python_docs"}, 'tokenizer="bytes" makes 256 tokens and the model a vocabulary of 32'),
        (
            {"data.source": "python_docs", "model": "{folder}/base"},
            "data.tokenizer='bytes' means others by the same ids; give data.tokenizer=model",
        ),
        ({"data.source": "Copy(symbols=31)"}, "Copy(symbols=31) has 33 tokens and the model a vocabulary of 32"),
        (OF_BYTES | {"data.source": "python_docs", "data.lanes": 3}, "batch=8 does not divide among lanes=3"),
        (OF_BYTES | {"data.source": "python_stdlb"}, "unknown source 'python_stdlb'. Did you mean python_stdlib?"),
        (OF_BYTES | {"data.source": "local_text:/nowhere"}, "no file or folder at '/nowhere'"),
        ({"adaptation": "LoRA(rank=2)"}, "give a model to begin from, or adapt_random=True"),
        ({"seed": 2**32}, "seed=4294967296 must be below 2**32"),
        ({"seed": 2**64}, "seed=18446744073709551616 must be"),
        (
            OF_BYTES | {"data.source": "python_docs", "data.split": "test"},
            "split='test' and test_split='test' share documents",
        ),
        (
            OF_BYTES | {"data.source": "python_docs", "data.split": "train+test[:50%]"},
            "split='train+test[:50%]' and test_split='test' share documents",
        ),
        (OF_BYTES | {"data.source": "python_docs", "data.split": "train[5:2]"}, "'train[5:2]' of python_docs"),
        (
            OF_BYTES | {"data.source": "python_docs", "phases": "Phase(start=6, length=100000000, batch=8)"},
            "100000000",
        ),
        ({"batch": 8 * 10**9}, "batch=8000000000 of length=16 need at least"),
        ({"length": 8 * 10**17}, "need at least"),
        ({"phases": "Phase(start=5, length=8000000000)"}, "length=8000000000 need at least"),
        ({"held.lengths": "16,1000000000000"}, "held.lengths=1000000000000 need at least"),
        ({"held.tokens": 10**15}, "held.tokens=1000000000000000 need at least"),
        ({"model": MODEL.replace("width=16", "width=1000000000")}, "width=1000000000"),
        ({"model": "{folder}/base", "adaptation": "LoRA(rank=1000000000)"}, "rank=1000000000"),
        ({"encoding": "LearnedAbsolute(max_length=1000000000000)"}, "1000000000000"),
        (
            {"adaptation": "LoRA(also=('head',))", "adapt_random": True},
            "the model's head is its embedding table; name 'embedding'",
        ),
        (
            {"model": LONGNET, "adaptation": "LoRA(targets=('gate',))", "adapt_random": True},
            "no projection 'gate'; it has q, k, v, o, up, down",
        ),
        ({"model": "{folder}/nowhere"}, 'nowhere\' is not "smollm2", a .gguf file, a directory or '),
    ],
)
def test_a_pair_that_cannot_be(changes: Changes, message: str, folder: Path, capsys: pytest.CaptureFixture) -> None:
    assert message in refuse_fields(folder, capsys, changes)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--config=configs/nowhere.py"], "--config=configs/nowhere.py: there is no such file; give one like configs/"),
        (
            ["--config=experiments/papers/lex/config.py:ropee"],
            "--config=experiments/papers/lex/config.py:ropee: no arm 'ropee'; there are sinusoidal",
        ),
        (["--config=configs/smoke.py:rope"], "the file has no variants; leave out :rope"),
        (["--config={folder}/plain.py"], "config.optimizer: Optimizer has no field 'lrr'. Did you mean lr?"),
        (
            ["--config={folder}/broken.py"],
            "cannot be read: ModuleNotFoundError: No module named 'nothing_of_this_name'",
        ),
        (["--config={folder}/flat.py"], "config.optimizer=0.0003 in the file; it takes fields: lr, rule"),
        (["--config={folder}/other.py"], "the file has no function get_config"),
        (["--config=README.md"], "Python file"),
        (["--acept=steps"], "Unknown command line flag 'acept'. Did you mean: accept ?"),
        (
            ["--accept=stepps", "--config.data.source=Copy()"],
            "--accept names stepps; there are adapt_random, adaptation",
        ),
        (["runs/x"], "unexpected argument 'runs/x'; settings are given as --config.<field>=<value>"),
        (["--config.seed"], "Missing value for flag --config.seed"),
        (["--processes=2"], "coordinator, processes and process are given together"),
        (["--process=a"], "--process=a"),
    ],
)
def test_a_command_line_that_cannot_be(
    argv: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture
) -> None:
    assert message in refuse(folder, capsys, *(word.replace("{folder}", str(folder)) for word in argv))


def test_a_field_that_the_file_leaves_out_can_be_given(folder: Path, capsys: pytest.CaptureFixture) -> None:
    """`configs/smoke.py` has no guard, rule or positions; what is wrong here is the last of them alone."""
    given = {"guard.spike": 3, "optimizer.rule": "lion", "data.positions": "PoSE(length=99)", "data.lanes": -1}
    assert "config.data: lanes=-1 must be at least 0" in refuse_fields(folder, capsys, given)


def test_a_bucket_without_what_it_needs(
    folder: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    assert train.main(["train", "--workdir=gs://bucket/x"]) == 2
    assert "pip install 'ropelab[gcs]'" in capsys.readouterr().err

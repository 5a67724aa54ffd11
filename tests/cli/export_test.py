"""A training exported: what is loaded again gives the run's logits, and what others cannot say is refused by name."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

import ropelab
from ropelab.cli import export
from ropelab.data.settings import DataSettings
from ropelab.encodings import ALiBi, YaRN
from ropelab.training.config import EvalSetConfig
from ropelab.training.lora import LoRA
from ropelab.training.optimizer import Optimizer
from ropelab.training.trainer import train
from tests.models import tiny
from tests.training.tiny import tiny_plan, untrained

IDS = np.arange(40)[None] % 18
YARN = YaRN(factor=4.0, original_length=32)
SPEC = "YaRN(base=10000.0, factor=4.0, original_length=32)"
QUICK = {"steps": 2, "optimizer": Optimizer(lr=1e-2), "held": EvalSetConfig(tokens=0)}
BYTES = tiny_plan().model.replace("vocabulary=32", "vocabulary=256")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, an adapter of it that was trained under YaRN, and runs that were begun in other ways."""
    folder = tmp_path_factory.mktemp("export")
    base = str(tiny.write(folder / "base", tokenizer=True))
    lora = LoRA(rank=2, alpha=64.0, also=("norms",))
    train(tiny_plan(**QUICK, model=base, encoding=YARN, adaptation=lora), folder / "lora", show=False)
    untrained(tiny_plan(model=base, encoding=None, adaptation=lora), folder / "same")
    untrained(tiny_plan(model=base, encoding=None), folder / "full")
    untrained(tiny_plan(encoding=ALiBi()), folder / "alibi")
    untrained(tiny_plan(adaptation=LoRA(rank=2), adapt_random=True), folder / "nowhere")
    untrained(tiny_plan(model=BYTES, length=300, data=DataSettings(source="Passkey()")), folder / "bytes")
    return folder


def run(*arguments: object) -> int:
    return export.main(["export", *map(str, arguments)])


def logits(source: Path) -> np.ndarray:
    return np.asarray(ropelab.load(source).logits(IDS))


def test_the_exported_model_is_the_trained_one_and_says_how_far_it_reaches(folder: Path, tmp_path: Path) -> None:
    assert run(f"--run={folder / 'lora'}", f"--to={tmp_path / 'model'}") == 0
    np.testing.assert_array_equal(logits(tmp_path / "model"), logits(folder / "lora"))
    assert np.abs(logits(folder / "lora") - ropelab.load(folder / "base").swap(SPEC).logits(IDS)).max() > 0.01
    settings = json.loads((tmp_path / "model" / "config.json").read_text())
    assert settings["max_position_embeddings"] == 128
    rope = settings["rope_parameters"]
    assert (rope["rope_type"], rope["factor"], rope["original_max_position_embeddings"]) == ("yarn", 4.0, 32)
    assert (tmp_path / "model" / "tokenizer.json").is_file()


def test_an_adapter_on_its_exported_base_gives_the_logits_of_the_run(folder: Path, tmp_path: Path) -> None:
    """The base under the encoding of the training, as PEFT needs it."""
    base, adapter = tmp_path / "base", tmp_path / "adapter"
    assert run(f"--run={folder / 'base'}", f"--encoding={SPEC}", f"--to={base}") == 0
    assert run(f"--run={folder / 'lora'}", "--adapter", f"--base={base}", f"--to={adapter}") == 0
    assert json.loads((adapter / "adapter_config.json").read_text())["base_model_name_or_path"] == str(base)
    np.testing.assert_array_equal(ropelab.load(base).adapted(adapter).logits(IDS), logits(folder / "lora"))
    np.testing.assert_array_equal(ropelab.load(folder / "base").adapted(adapter).logits(IDS), logits(folder / "lora"))


def test_a_base_that_peft_finds_needs_no_name(folder: Path, tmp_path: Path) -> None:
    assert run(f"--run={folder / 'same'}", "--adapter", f"--to={tmp_path / 'adapter'}") == 0
    settings = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == str(folder / "base")


def test_what_is_said_of_a_whole_model_is_written(folder: Path, tmp_path: Path) -> None:
    said = ("--dtype=bfloat16", "--context_length=99", "--pattern=Causal()")
    assert run(f"--run={folder / 'full'}", f"--to={tmp_path / 'model'}", *said) == 0
    settings = json.loads((tmp_path / "model" / "config.json").read_text())
    assert (settings["dtype"], settings["max_position_embeddings"]) == ("bfloat16", 99)


def test_a_model_of_bytes_has_a_tokenizer_without_special_tokens(folder: Path, tmp_path: Path) -> None:
    """transformers would take the letter that stands for byte 0 for the end of the text, wherever it is written."""
    assert run(f"--run={folder / 'bytes'}", f"--to={tmp_path / 'model'}") == 0
    assert "eos_token" not in json.loads((tmp_path / "model" / "tokenizer_config.json").read_text())
    again = ropelab.load(tmp_path / "model").tokenizer
    assert again is not None
    assert (again.vocabulary, again.eos_id, again.bos_id) == (256, 0, None)
    text = "Ā é\n\0"
    assert again.encode(text) == list(text.encode())
    assert again.decode(again.encode(text)) == text


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("alibi", [], "transformers cannot express ALiBi()"),
        ("full", ["--pattern=SlidingWindow(window=4)"], "its attention is causal and full"),
        ("full", ["--encoding=YARN(factor=2.0)"], "Did you mean YaRN?"),
        ("full", ["--adapter"], "trained with Full(), which is not an adapter; leave out --adapter"),
        ("full", ["--base=base"], "--base is the base model of an adapter; add --adapter"),
        ("base", ["--adapter"], "is not the folder of a training, so there is no adapter; leave out --adapter"),
        ("lora", ["--adapter"], f"PEFT cannot put {SPEC} into"),
        ("lora", ["--adapter"], f'--encoding="{SPEC}" --to=base, then name it: --base=base'),
        ("nowhere", ["--adapter"], "is randomly initialised and was not saved; leave out --adapter"),
        ("lora", ["--adapter", "--dtype=bfloat16"], "--dtype is not allowed with --adapter"),
        ("full", ["--dtype=int8"], "dtype='int8' is not one of float32"),
        ("full", ["--context_length=0"], "context_length"),
        ("full", ["runs/x"], "unexpected argument 'runs/x'; the run is given as --run="),
        ("missing", [], "missing"),
    ],
)
def test_what_cannot_be_is_refused(
    name: str, arguments: list[str], message: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert run(f"--run={folder / name}", f"--to={tmp_path / 'out'}", *arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert not list(tmp_path.iterdir())


def test_both_flags_are_needed(folder: Path, capsys: pytest.CaptureFixture) -> None:
    assert run(f"--run={folder / 'full'}") == 2
    assert "--to is missing" in capsys.readouterr().err
    assert run(f"--to={folder / 'x'}") == 2
    assert "--run is missing" in capsys.readouterr().err


def test_help_is_the_program_s_own(capsys: pytest.CaptureFixture) -> None:
    assert run("--help") == 0
    assert "as a PEFT adapter" in capsys.readouterr().out


def test_an_adapter_that_is_not_finite_is_refused(folder: Path, tmp_path: Path, monkeypatch, capsys):
    run = export.open_run(folder / "lora")
    broken = run._replace(trainable=jax.tree.map(lambda x: x * np.nan, run.trainable))
    monkeypatch.setattr(export, "open_run", lambda path: broken)
    arguments = ["export", f"--run={folder / 'lora'}", f"--to={tmp_path / 'out'}", "--adapter", "--base=base"]
    assert export.main(arguments) == 2
    assert "not finite" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert export.main([*arguments, "--allow_nonfinite"]) == 0

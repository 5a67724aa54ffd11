"""What command lines say of bad input: one line, exit code 2, and the name that was written."""

import errno
from pathlib import Path

import jax
import pytest

from experiments.papers.longnet import runtime
from ropelab import spec as specs
from ropelab.cli import evaluate, generate, launching, swap, sweep, train
from ropelab.evaluation.evals import registry
from tests.models import tiny


def line(capsys: pytest.CaptureFixture) -> str:
    (found,) = capsys.readouterr().err.splitlines()
    return found


def test_a_configuration_of_another_program_is_refused(tmp_path: Path, capsys) -> None:
    assert swap.main(["swap", "--config=configs/smoke.py", f"--workdir={tmp_path}"]) == 2
    said = line(capsys)
    assert "configs/smoke.py" in said
    assert "configs/swap_smollm2.py" in said


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_an_error_of_a_file_is_one_line_with_a_remedy(tmp_path: Path, capsys, monkeypatch, code: int) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, "refused", str(tmp_path / "x"))

    monkeypatch.setattr(swap, "measure_variants", refuse)
    assert swap.main(["swap", f"--workdir={tmp_path}"]) == 2
    assert f"{tmp_path}/x: refused; {launching._REMEDIES[code]}" in line(capsys)
    monkeypatch.setattr(evaluate.registry, "parse", refuse)
    assert evaluate.main(["evaluate", f"--workdir={tmp_path}"]) == 2
    assert launching._REMEDIES[code] in line(capsys)


@pytest.mark.parametrize(
    ("run", "flag", "remedy"),
    [
        (swap.main, "lengths", "--config.lengths="),
        (swap.main, "lenghts", "--config.lengths="),
        (train.main, "lr", "--config.optimizer.lr="),
        (evaluate.main, "config.lengths", "--lengths="),
    ],
)
def test_the_other_style_of_flags_is_named(run, flag: str, remedy: str, tmp_path: Path, capsys) -> None:
    assert run(["x", f"--workdir={tmp_path}", f"--{flag}=1"]) == 2
    assert remedy in line(capsys)


@pytest.mark.parametrize(
    ("run", "fields"), [(swap.main, ("lengths", "edges", "last", "windows")), (train.main, ("optimizer.lr", "steps"))]
)
def test_help_explains_every_field(run, fields, capsys) -> None:
    assert run(["x", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "!!python" not in shown
    lines = shown.splitlines()
    for field in fields:
        at = next(n for n, text in enumerate(lines) if text.startswith(f"  --config.{field}="))
        assert lines[at + 1].startswith("      "), f"{field} is not explained"


def test_messages_name_what_was_written(tmp_path: Path, capsys) -> None:
    assert sweep.main(["sweep", "--sweep=nosuch.py", f"--workdir={tmp_path}"]) == 2
    assert "--sweep=nosuch.py" in line(capsys)
    for name in ("dense", "dilated"):
        assert runtime.main(["runtime", f"--{name}=abc", f"--workdir={tmp_path}"]) == 2
        assert f"--{name}=abc" in line(capsys)
    with pytest.raises(ValueError, match=r"passkey has no field 'trails'\..* trials"):
        registry.parse("passkey(trails=3)")
    with pytest.raises(ValueError, match=r"^perplexity has no field"):
        registry.parse("perplexity(tokns=3)")


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("nosuchset", ["asset", "squad"], ""),
        ("nosuchtask", ["xlsum_tasks"], ""),
        ("Yarn", ["YaRN", "PI"], " Did you mean YaRN?"),
        ("lenghts", ["lengths", "last"], " Did you mean lengths?"),
    ],
)
def test_only_what_is_close_is_suggested(name: str, known: list[str], hint: str) -> None:
    assert specs.suggest_name(name, known) == hint


@pytest.mark.parametrize("flag", ["max_new_tokens=0", "temperature=-1", "top_p=0", "prompt=@/no/such.txt"])
def test_generate_checks_its_flags_before_it_loads(flag: str, capsys, monkeypatch) -> None:
    monkeypatch.setattr("ropelab.load", lambda *_, **__: pytest.fail("loaded"))
    assert generate.main(["generate", "--prompt=a", f"--{flag}"]) == 2
    name, _, value = flag.partition("=")
    said = line(capsys)
    assert name in said
    assert value in said


def test_arguments_of_the_bench_are_named(tmp_path: Path) -> None:
    lab = tiny.lab(tokenizer=True)
    with pytest.raises(ValueError, match="pattern="):
        lab.swap("SlidingWindow(window=64)")
    for ask in (lab.generate, lab.stream):
        with pytest.raises(TypeError, match="max_new_tokens"):
            ask("a", max_tokens=4)


def test_an_exchange_between_devices_is_refused_where_there_is_no_mesh(tmp_path: Path, capsys) -> None:
    assert (
        swap.main(
            ["swap", f"--workdir={tmp_path}", "--config.kernel=Ring()", "--config.encodings=CoPE(max_position=8)"]
        )
        == 2
    )
    assert "Ring()" in line(capsys)


def test_bfloat16_on_a_cpu_is_warned_of(capsys) -> None:
    assert jax.default_backend() == "cpu"
    launching.warn_if_slow("float32")
    assert capsys.readouterr().err == ""
    launching.warn_if_slow("bfloat16")
    assert "bfloat16" in line(capsys)

"""The translator's command line: any dialect in, all out, warnings where engines disagree, one line for bad input."""

import json
from pathlib import Path

import pytest

from ropelab.cli import translate

DIALECTS = ["hf", "llama.cpp", "gguf", "exllama", "maxtext", "spec", "words"]
YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 8192}
LINEAR_SPEC = "PI(base=10000.0, factor=2.0)"
YARN_SPEC = "YaRN(base=10000.0, factor=4.0, original_length=8192)"


def run(*argv: str) -> int:
    return translate.main(["translate", *argv])


def blocks(printed: str) -> dict[str, str]:
    """The text of each block, by its name."""
    parts = [part.split("\n    ", 1) for part in printed.strip().split("\n\n")[1:]]
    return dict(part for part in parts if len(part) == 2)


def test_one_setting_in_every_dialect(capsys: pytest.CaptureFixture) -> None:
    assert run("--rope-freq-base 10000 --rope-freq-scale 0.5 -c 8192", "--to=all") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("read as llama.cpp, for a head_dim of 128\n")
    found = blocks(printed)
    assert list(found) == DIALECTS
    assert json.loads(found["hf"]) == {
        "max_position_embeddings": 8192,
        "rope_theta": 10000.0,
        "rope_scaling": {"rope_type": "linear", "factor": 2.0},
        "rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0},
    }
    assert found["llama.cpp"] == "--rope-scaling linear --rope-scale 2 --rope-freq-base 10000 -c 8192"
    assert json.loads(found["gguf"])["llama.rope.scaling.factor"] == 2.0
    assert found["exllama"] == "alpha_value=1 compress_pos_emb=2 max_seq_len=8192"
    assert found["maxtext"].endswith("rope_max_timescale=10000 rope_linear_scaling_factor=2")
    assert found["spec"] == "PI(base=10000.0, factor=2.0)"
    assert found["words"].startswith(
        "Positions are divided by 2, with base 10000. The context is 8192 tokens, for weights trained on 4096 tokens."
    )


@pytest.mark.parametrize(
    ("argv", "dialect", "spec"),
    [
        (["--rope-scaling", "yarn", "--rope-scale", "4", "--yarn-orig-ctx", "8192"], "llama.cpp", YARN_SPEC),
        (["alpha_value=2 compress_pos_emb=1"], "exllama", "NTK(base=10000.0, alpha=2.0)"),
        (["alpha_value=2", "compress_pos_emb=2"], "exllama", "PI(base=20221.261689737912, factor=2.0)"),
        (["rope_freq_base=20000"], "exllama", "RoPE(base=20000.0)"),
        (["rope_type=default rope_linear_scaling_factor=4.0"], "maxtext", "PI(base=10000.0, factor=4.0)"),
        ([json.dumps({"rope_linear_scaling_factor": 4.0})], "maxtext", "PI(base=10000.0, factor=4.0)"),
        ([json.dumps({"rope_parameters": YARN})], "hf", YARN_SPEC),
        ([json.dumps({"rope_theta": 1e4, "rope_scaling": {"type": "linear", "factor": 2}})], "hf", LINEAR_SPEC),
        ([json.dumps(YARN)], "hf", YARN_SPEC),
        ([json.dumps({"rope_theta": 500000.0})], "hf", "RoPE(base=500000.0)"),
        ([json.dumps({"llama.rope.freq_base": 500000.0})], "gguf", "RoPE(base=500000.0)"),
        (["YaRN(base=1e4, factor=4, original_length=8192)"], "spec", YARN_SPEC),
        (["YaRN(factor=4, original_length=8192)"], "spec", YARN_SPEC),
    ],
)  # fmt: skip
def test_every_dialect_is_recognised(argv: list[str], dialect: str, spec: str, capsys: pytest.CaptureFixture) -> None:
    assert run(*argv, "--to=spec", "--base=10000") == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"read as {dialect}, for a head_dim of 128 and a base of 10000\n")
    assert blocks(printed)["spec"] == spec


def test_a_file_or_its_folder_may_be_named(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", "head_dim": 64, "rope_parameters": YARN}))
    for path in (tmp_path, tmp_path / "config.json"):
        for given in ([], ["--head_dim=64"]):
            assert run(str(path), "--to=spec", *given) == 0
            printed = capsys.readouterr().out
            assert printed.startswith("read as hf, for a head_dim of 64")
            assert blocks(printed)["spec"] == YARN_SPEC


def test_what_a_dialect_cannot_say_stands_in_its_place_with_the_reason(capsys: pytest.CaptureFixture) -> None:
    assert run("DynamicNTK(base=1e4, factor=4, original_length=4096)") == 0
    found = blocks(capsys.readouterr().out)
    assert "dynamic" in found["hf"]
    for name in ("llama.cpp", "gguf", "exllama", "maxtext"):
        assert "cannot express DynamicNTK(" in found[name]
    assert "alpha at f^2 - f + 1 = 13" in found["warnings"]


def test_warnings_depend_on_the_head(capsys: pytest.CaptureFixture) -> None:
    assert run("alpha_value=2", "--base=10000", "--head_dim=64", "--to=llama.cpp") == 0
    found = blocks(capsys.readouterr().out)
    assert found["llama.cpp"].startswith("--rope-scaling none --rope-freq-base 20452.2")
    assert "the base is 20452.23 for 64" in found["warnings"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "nothing to translate"),
        (["--rope-scal 2"], "unknown '--rope-scal'. Did you mean --rope-scale?"),
        (["--rope-scale 2", "--to=hugging"], "unknown dialect 'hugging'"),
        (["--rope-scale 2", "--to=hf"], "transformers cannot express PI(factor=2.0): its base is unknown"),
        (["--rope-scale 2", "--head_dim=abc"], "head_dim"),
        (["--rope-scale 2", "--head_dim=0"], "head_dim"),
        (["--rope-scale 2", "--base=ten"], "base"),
        (["--rope-scale 2", "--base=1"], "base=1.0 must be greater than 1"),
        (["Yarn(factor=2)"], "unknown encoding 'Yarn'. Did you mean YaRN?"),
        (["alfa_value=2"], "unknown 'alfa_value'. Did you mean alpha_value?"),
        (["{"], "the JSON text is not valid JSON"),
        (["{}"], "the JSON text has no rope settings"),
        (['{"rope_theta": 1e4, "rope_scaling": {"type": "yarn", "factor": 2}}'], "'yarn' needs original_max"),
        (['{"rope_theta": 1e4, "head_dim": 64}', "--head_dim=128"], "64 dimensions, not 128; use --head_dim=64"),
        (["nowhere/config.json"], "nowhere/config.json cannot be read"),
        (["NTK(base=1e4, alpha=2)", "--head_dim=2", "--to=hf"], "are fewer than 4"),
    ],
)
def test_bad_input_is_one_line(argv: list[str], message: str, capsys: pytest.CaptureFixture) -> None:
    assert run(*argv) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_help(capsys: pytest.CaptureFixture) -> None:
    assert run("--help") == 0
    assert "python -m experiments.translate" in capsys.readouterr().out


def test_a_size_of_heads_that_differs_is_named_as_a_flag(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", "head_dim": 64, "rope_parameters": YARN}))
    assert run(str(tmp_path), "--to=spec", "--head_dim=128") == 2
    assert "--head_dim=64" in capsys.readouterr().err

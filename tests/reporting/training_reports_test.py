"""The pages about trainings say what their rows say, claim by claim."""

import json

import pytest

from experiments import verdicts
from ropelab.reporting.extension_report import reached
from ropelab.reporting.extension_report import verdicts as extension_verdicts
from ropelab.reporting.lex_report import curves, table
from ropelab.reporting.lex_report import verdicts as lex_verdicts

LENGTHS = (32, 64, 128, 256, 512)
PAPER = {  # the shape of the paper's table: causal, blockwise
    "sinusoidal": ((5, 4, 20, 60, 90), (5, 4, 20, 50, 80)),
    "rope": ((5, 4, 6, 9, 14), (5, 4, 3.9, 3.8, 3.8)),
    "alibi": ((4.9, 3.9, 3.8, 3.7, 3.7), (4.9, 3.9, 3.8, 3.7, 3.7)),
    "xpos": ((5, 4, 4, 4, 4), (4.8, 3.8, 3.7, 3.6, 3.5)),
}


def write(folder, rows, **settings):
    settings |= {"steps": rows[-1]["step"]}
    (folder / "checkpoints" / str(rows[-1]["step"])).mkdir(parents=True)
    (folder / "checkpoints" / str(rows[-1]["step"]) / "manifest.json").write_text("{}")
    (folder / "plan.json").write_text(json.dumps({"settings": {k: str(v) for k, v in settings.items()}}))
    (folder / "evaluations.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def lex_runs(workdir, values):
    for seed in range(3):
        for arm, pair in values.items():
            rows = [
                {"step": 10, "pattern": pattern, "length": n, "nll": 0.0, "perplexity": value + seed, "tokens": 640}
                for pattern, line in zip(("Causal()", "BlockwiseCausal(block=64)"), pair, strict=True)
                for n, value in zip(LENGTHS, line, strict=True)
            ]
            early = [row | {"step": 0, "perplexity": 256.0} for row in rows]
            write(workdir / f"{arm}-{seed}", early + rows, length=64)


def test_lex_s_table_and_claims(tmp_path, capsys):
    lex_runs(tmp_path / "runs", PAPER)
    assert verdicts.run(["verdicts", "--table=lex", f"--workdir={tmp_path / 'runs'}"]) == 0
    page = capsys.readouterr().out
    assert "| xpos + blockwise causal | 3 | 5.80 ± 1.00 | 4.80 ± 1.00 |" in page
    assert "- holds: LEX falls with every doubling (3 of 3)" in page
    assert "- holds: at 8 times the trained length alibi is worse than xpos + blockwise causal (3 of 3)" in page
    assert "- holds: at the trained length ALiBi is better than RoPE (3 of 3)" in page
    assert "python -m experiments.verdicts --table=lex" in (tmp_path / "runs" / "report.md").read_text()
    assert (tmp_path / "runs" / "report.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_under_way_is_left_out_and_named(tmp_path, capsys):
    lex_runs(tmp_path, PAPER)
    (tmp_path / "rope-2" / "checkpoints" / "10" / "manifest.json").unlink()
    assert verdicts.run(["verdicts", f"--workdir={tmp_path}"]) == 0
    page = capsys.readouterr().out
    assert "Not finished and left out: rope-2." in page
    assert "| rope | 2 |" in page


def test_a_claim_that_fails_is_said_to(tmp_path, capsys):
    lex_runs(tmp_path, PAPER | {"xpos": (PAPER["xpos"][0], (4.8, 3.8, 3.7, 3.6, 3.65))})
    verdicts.run(["verdicts", f"--workdir={tmp_path}"])
    assert "- DOES NOT HOLD: LEX falls with every doubling (0 of 3)" in capsys.readouterr().out


def test_seeds_are_asked_one_by_one():
    def runs(last):
        values = dict(zip(LENGTHS, (5.0, 4.0, 3.9, 3.8, last), strict=True))
        return [{"step": 1, "pattern": "B", "length": n, "perplexity": v} for n, v in values.items()]

    found = curves({"xpos-0": runs(3.7), "xpos-1": runs(3.9)})
    assert ("LEX falls with every doubling", 1, 2) in lex_verdicts(found, 64)
    assert "3.80 ± 0.10" in table(found)


def extension_runs(workdir, of):
    write(workdir / "base", [{"step": 5, "pattern": "Causal()", "length": 512, "perplexity": 4.0}], length=512)
    for method, start in of.items():
        rows = [
            {"step": step, "pattern": "Causal()", "length": n, "perplexity": start / (1 + step / 10) + n / 1e5}
            for step in (0, 10, 20, 30, 40, 50)
            for n in (512, 1024, 2048)
        ]
        write(workdir / f"{method}-2", rows, length=1024)


def test_the_extension_s_tables_and_claims(tmp_path, capsys):
    extension_runs(tmp_path, {"direct": 8.0, "pi": 12.0, "ntk": 6.0, "yarn": 5.0})
    assert verdicts.run(["verdicts", "--table=extension", f"--workdir={tmp_path}"]) == 0
    page = capsys.readouterr().out
    assert "## 2 times: 512 to 1024" in page
    assert "after 20 steps, 40% of them; the paper has 40%: holds" in page
    assert "fine-tuning directly reaches 1.344, PI 2.010" in page
    assert "far behind: DOES NOT HOLD" in page
    assert "at twice the target NTK has 1.020 and PI 2.020" in page


def test_what_yarn_never_reaches_is_not_reached():
    assert reached({0: 5.0, 10: 4.0}, 3.9) is None
    before = {"direct": {0: 2.5, 50: 2.6}}
    told = extension_verdicts({"pi": {0: 9.0, 50: 3.0}, "yarn": {0: 5.0, 50: 4.0}}, {}, before)
    assert "PI ends at 3.000 where the model had 2.500 at its trained length" in told[-1]
    assert told[-1].endswith("DOES NOT HOLD")
    assert "not at all" in told[0]
    assert told[0].endswith("DOES NOT HOLD")


def test_a_folder_without_runs_is_refused(tmp_path, capsys):
    assert verdicts.run(["verdicts", f"--workdir={tmp_path}"]) == 2
    assert "holds no run that is finished" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["--table=lox", "--workdir="])
def test_wrong_flags_are_refused(missing, capsys):
    assert verdicts.run(["verdicts", missing]) == 2
    assert capsys.readouterr().err.count("\n") == 1

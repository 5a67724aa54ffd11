"""Combinators: what runs they make, and what they refuse."""

from pathlib import Path

import pytest

from ropelab.cli.sweeps import manifest
from ropelab.cli.sweeps.runs import Run, chain, names, product, run, seeds, variants, vary, zip_runs

BASE = run("train", "configs/smoke.py", name="base", fields={"steps": 3})
ROOT = Path(__file__).parents[3]
SWEEPS = ROOT / "configs" / "sweeps"


def test_a_product_is_every_run_with_every_other() -> None:
    made = product(
        chain(BASE, run("train", "configs/smoke.py", name="other")), vary("optimizer.lr", 0.1, 0.2), seeds(2)
    )
    assert len(made) == 8
    assert made[1] == Run(
        "base-lr=0.1-1", "train", "configs/smoke.py", {"steps": 3, "optimizer.lr": 0.1, "seed": 1}, {}
    )
    assert [one.name for one in made[:3]] == ["base-lr=0.1-0", "base-lr=0.1-1", "base-lr=0.2-0"]


def test_a_run_that_two_sweeps_have_is_made_once() -> None:
    other = run("train", "configs/smoke.py", name="other")
    assert chain(BASE, other, BASE) == chain(BASE, other)


def test_names_are_those_that_match() -> None:
    made = chain(*(run("train", "configs/smoke.py", name=name) for name in ("lex/rope-0", "lex/xpos-0", "mpt/rope-0")))
    assert names(made) == ("lex/rope-0", "lex/xpos-0", "mpt/rope-0")
    assert names(made, "lex/*", "*/rope-0") == ("lex/rope-0", "lex/xpos-0", "mpt/rope-0")
    assert names(made, "mpt/*") == ("mpt/rope-0",)
    with pytest.raises(ValueError, match=r"no run matches xp\*"):
        names(made, "xp*")


def test_a_sweep_in_the_repository_is_named_from_there() -> None:
    """What a training begins from is one of its settings: with the whole path a moved checkout would refuse it."""
    (made,) = manifest.make_entries(run("train", "configs/smoke.py", name="a", fields={"model": "{sweep}/base"}))
    assert "--config.model=runs/here/base" in manifest.command_words(made, ROOT / "runs" / "here")
    assert "--config.model=/elsewhere/base" in manifest.command_words(made, Path("/elsewhere"))


def test_zip_runs_pairs_runs_and_variants_names_them() -> None:
    sizes = variants(small={"batch": 8}, large={"batch": 64})
    made = zip_runs(product(BASE, sizes), vary("length", 16, 32))
    assert [(one.name, one.fields["batch"], one.fields["length"]) for one in made] == [
        ("base-small-length=16", 8, 16),
        ("base-large-length=32", 64, 32),
    ]
    with pytest.raises(ValueError, match="sweeps of 1, 2 runs cannot be zipped"):
        zip_runs(BASE, seeds(2))


def test_what_is_said_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"base-steps=4 sets steps to 3 and to 4; set it once"):
        product(BASE, vary("steps", 4))
    with pytest.raises(ValueError, match=r"has program 'train' and 'swap'"):
        product(BASE, run("swap", name="x"))


PAPERS = ROOT / "experiments" / "papers"
OF_SIZES = sorted(path for path in PAPERS.rglob("sweep.py") if path.parent.name != "extension")


@pytest.mark.parametrize("size", ["cpu", "gpu", "paper"])
@pytest.mark.parametrize("path", OF_SIZES, ids=lambda path: path.parent.name)
def test_every_sweep_here_can_be_written_down(path: Path, size: str) -> None:
    """Its configurations are read and its fields are theirs; each is a command, and what it waits for comes before."""
    found = manifest.make_entries(manifest.read_sweep(f"{path}:{size}"))
    for number, entry in enumerate(found):
        assert set(entry["after"]) <= {before["name"] for before in found[:number]}
        module, command, *_ = entry["command"]
        named = f"ropelab.cli.{command}" if module == "ropelab.cli" else module
        assert (ROOT / f"{named.replace('.', '/')}.py").is_file()


def test_the_manifest_has_an_id_for_every_setting(tmp_path: Path) -> None:
    made = manifest.make_entries(chain(product(BASE, seeds(2)), run("train", "configs/smoke.py", name="more")))
    assert len({one["id"] for one in made}) == 3
    assert made[0]["command"][-1] == "--workdir={sweep}/base-0"
    assert made[0]["steps"] == 3
    again = manifest.make_entries(product(BASE, seeds(2)))
    assert [one["id"] for one in again] == [one["id"] for one in made[:2]]
    written_out = run("train", "configs/smoke.py", name="base", fields={"steps": 3, "seed": 0, "length": 128})
    assert manifest.make_entries(written_out)[0]["id"] == made[0]["id"], "a default said is the same configuration"
    assert len(manifest.make_entries(manifest.read_sweep(str(SWEEPS / "smoke.py")))) == 4


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        (chain(BASE, run("train", "configs/smoke.py", name="base")), "two runs are named 'base'"),
        (run("train", "configs/smoke.py", name="a/../b"), "needs a name, a folder in the sweep's"),
        (run("train", "configs/smoke.py", name="/b"), "needs a name, a folder in the sweep's"),
        (seeds(1), "needs a name, a folder in the sweep's, and a program"),
        (run("train", "configs/smoke.py", name="a", after=("b",)), "a waits for 'b', which is no run of the sweep"),
        (
            chain(run("show", name="a", after=("b",)), run("show", name="b", after=("a",))),
            "a, b wait for each other in a circle",
        ),
        (run("train", "configs/smoke.py", name="a", fields={"stps": 3}), "a: config has no field 'stps'. Did you mean"),
        (run("train", "configs/smoke.py", name="a", fields={"steps": "x"}), "config.steps='x' is not allowed"),
        (run("train", "configs/nowhere.py", name="a"), "there is no such file"),
        (run("show", name="a", fields={"steps": 3}), "a has fields and no configuration"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused(sweep: list[Run], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        manifest.make_entries(sweep)

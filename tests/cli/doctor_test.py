"""The doctor finds what is wrong with a machine, and says the command that mends it."""

import subprocess
import sys
from pathlib import Path

import pytest

from ropelab.cli import doctor
from ropelab.cli.doctor import Facts

ROOT = Path(__file__).parents[2]
WELL = Facts(
    python=(3, 12),
    versions=dict.fromkeys(doctor.NEEDED, "0.7.2"),
    gpus=(),
    cuda=0,
    tpu=False,
    jax_platform="cpu",
    devices=("cpu:0 cpu",),
    failure="",
    forced="",
    memory_gib=12.0,
    cpu_errors={32: 3e-7, 128: 2e-7},
)


def test_a_machine_without_accelerator_is_well() -> None:
    assert doctor.find_problems(WELL) == []


@pytest.mark.parametrize(
    ("changes", "what", "remedy"),
    [
        ({"python": (3, 10)}, "Python 3.10 is too old", "3.11"),
        ({"versions": WELL.versions | {"flax": None}}, "flax missing", "pip install -e ."),
        (
            {"gpus": ("Tesla T4, 15360 MiB",), "cuda": 12},
            "jax uses the CPU although there is Tesla T4, 15360 MiB",
            "pip install 'jax[cuda12]==0.7.2'",
        ),
        ({"gpus": ("H200",), "cuda": 13}, "there is H200", "jax[cuda13]"),
        (
            {"gpus": ("H200",), "cuda": 13, "forced": "cpu"},
            "JAX_PLATFORMS=cpu hides H200 from jax",
            "unset JAX_PLATFORMS",
        ),
        ({"tpu": True}, "jax uses the CPU although there is a TPU", "pip install 'jax[tpu]==0.7.2'"),
        ({"tpu": True, "jax_platform": "", "failure": "libtpu is held"}, "libtpu is held", "jax[tpu]"),
        (
            {"jax_platform": "", "failure": "no backend"},
            "jax cannot start: no backend",
            "--force-reinstall 'jax==0.7.2'",
        ),
        ({"versions": WELL.versions | {"jaxlib": "0.7.1"}}, "jaxlib 0.7.1 does not match jax 0.7.2", "jaxlib==0.7.2"),
        (
            {"versions": WELL.versions | {"jax-cuda12-plugin": "0.6.0"}},
            "jax-cuda12-plugin 0.6.0 does not match jax",
            "pip install 'jax-cuda12-plugin==0.7.2'",
        ),
    ],
)
def test_each_fault_has_a_remedy(changes: dict, what: str, remedy: str) -> None:
    (problem,) = doctor.find_problems(WELL._replace(**changes))
    assert what in problem.what
    assert remedy in problem.remedy


def test_this_machine(capsys: pytest.CaptureFixture) -> None:
    code = doctor.main(["doctor"])
    printed = capsys.readouterr().out
    assert ("no problems found" in printed) == (code == 0)
    assert "extra train" in printed
    assert doctor.main(["doctor", "more"]) == 2


def test_it_looks_for_what_it_does_not_need() -> None:
    """Without jax and flax it begins all the same, to say so."""
    script = "import sys; sys.modules.update(dict.fromkeys(('jax', 'flax', 'absl', 'ml_collections'))); "
    script += "from ropelab.cli import doctor; sys.exit(doctor.main(['doctor']))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 1, done.stderr
    assert "jax cannot start" in done.stdout


def test_wrong_products_of_the_cpu_are_a_problem_with_the_flag_as_remedy() -> None:
    (problem,) = doctor.find_problems(WELL._replace(cpu_errors={32: 0.97, 128: float("inf")}))
    assert "inf" in problem.what
    assert "--xla_cpu_experimental_ynn_fusion_type=-reduce" in problem.remedy


def test_the_verdict_on_both_reproducers_is_shown() -> None:
    line = doctor.describe_cpu(doctor.collect_facts().cpu_errors)
    assert line.startswith("right")
    assert "at 32" in line
    assert "at 128" in line


def test_without_a_cpu_backend_there_is_no_verdict(monkeypatch) -> None:
    def no_backend(size: int) -> float:
        raise RuntimeError("Unknown backend cpu")

    monkeypatch.setattr(doctor.miscompilation, "reproduce", no_backend)
    assert doctor.measure_cpu_errors() == {}

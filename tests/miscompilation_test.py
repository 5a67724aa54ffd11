"""`import ropelab` keeps jaxlib from computing wrong numbers on a CPU, and touches no version that computes rightly."""

import os
import subprocess
import sys

import pytest

from ropelab import miscompilation
from ropelab.evaluation.store import describe_versions
from ropelab.xla_flags import is_known_flag

AFFECTED = is_known_flag(miscompilation.FLAG)
affected = pytest.mark.skipif(not AFFECTED, reason="this jaxlib has no reduce fusion: nothing is to be guarded")
SHOW = "import os; print('flags', os.environ.get('XLA_FLAGS')); "
ERRORS = "from ropelab import miscompilation as m; print('errors', *map(m.reproduce, m.SIZES))"


def python(code: str, *, flags: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a fresh interpreter on the CPU, with XLA_FLAGS as given."""
    env = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"} | {"JAX_PLATFORMS": "cpu"}
    env |= {} if flags is None else {"XLA_FLAGS": flags}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)


def said(run: subprocess.CompletedProcess[str], what: str) -> str:
    assert run.returncode == 0, run.stderr
    return next(line.partition(" ")[2] for line in run.stdout.splitlines() if line.startswith(what))


@pytest.mark.parametrize("imports", ["import ropelab, jax", "import jax, ropelab"])
def test_both_reproducers_are_right_in_both_import_orders(imports: str):
    run = python(f"{imports}; {SHOW}{ERRORS}")
    assert all(float(error) < 1e-5 for error in said(run, "errors").split())
    assert said(run, "flags") == (f"{miscompilation.FLAG}=-reduce" if AFFECTED else "None")


@affected
def test_a_backend_that_is_up_and_wrong_is_an_error_that_names_the_remedy():
    run = python("import jax; jax.devices(); import ropelab")
    assert run.returncode == 1
    assert f"{miscompilation.FLAG}=-reduce" in run.stderr.splitlines()[-1]


def test_a_backend_that_is_up_and_right_is_accepted():
    flags = f"{miscompilation.FLAG}=-reduce" if AFFECTED else None
    run = python(f"import jax; jax.devices(); import ropelab; {ERRORS}", flags=flags)
    assert all(float(error) < 1e-5 for error in said(run, "errors").split())


def test_flags_that_are_there_are_kept():
    run = python(f"import ropelab; {SHOW}", flags="--xla_force_host_platform_device_count=2")
    assert said(run, "flags").split()[0] == "--xla_force_host_platform_device_count=2"


@affected
def test_a_flag_that_leaves_the_fusion_on_is_warned_of():
    run = python(f"import ropelab; {SHOW}", flags=f"{miscompilation.FLAG}=+reduce")
    assert said(run, "flags") == f"{miscompilation.FLAG}=+reduce"
    assert "-reduce" in run.stderr


def test_no_program_of_ropelab_fuses_a_product_with_a_reduction():
    run = subprocess.run(
        [sys.executable, "-m", "tests.programs"],
        env=os.environ | {"XLA_FLAGS": "", "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=True,
    )
    counts = dict(line.split("\t") for line in run.stdout.splitlines())
    assert len(counts) == 19
    assert set(counts.values()) == {"0"}


@affected
def test_such_a_fusion_would_be_seen():
    code = "import tests.programs as p; print('found', p.fusions_of_product_and_reduction(p.reproducer()))"
    assert said(python(code, flags=f"{miscompilation.FLAG}=+reduce"), "found") == "1"


def test_the_protocol_line_carries_the_flag():
    assert (f"{miscompilation.FLAG}=-reduce" in describe_versions()) == AFFECTED

"""XLA's flags: what the search in jaxlib's library says against what jaxlib accepts."""

import os
import subprocess
import sys

import jax
import pytest

from ropelab import xla_flags
from ropelab.xla_flags import is_known_flag, is_known_option, select_flags, select_options

# Some of these are known to all versions of jaxlib, some to a few, some as flags only, the last ones to none.
VALUES = {
    "xla_backend_optimization_level": 1,
    "xla_llvm_disable_expensive_passes": True,
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
    "xla_cpu_max_isa": "AVX2",
    "xla_cpu_use_thunk_runtime": True,
    "xla_cpu_use_onednn": False,
    "xla_cpu_use_xnnpack": False,
    "xla_cpu_enable_fast_math": False,
    "xla_cpu_no_such_flag": 1,
    "cpu_max_isa": 1,
}


@pytest.mark.parametrize("name, value", VALUES.items(), ids=VALUES)
def test_an_option_is_known_exactly_where_jaxlib_accepts_it(name, value):
    compiled = jax.jit(lambda x: x + 1, compiler_options={name: value})
    if is_known_option(name):
        assert compiled(1.0) == 2
    else:
        with pytest.raises(jax.errors.JaxRuntimeError, match="No such compile option"):
            compiled(1.0)


def test_a_flag_is_known_exactly_where_jaxlib_accepts_it():
    """All known flags together start a backend; each unknown one ends the process."""
    known = [f"--{name}={value}" for name, value in VALUES.items() if is_known_flag(name)]
    unknown = [f"--{name}={value}" for name, value in VALUES.items() if not is_known_flag(name)]
    code = "import os, sys, jax; os.environ['XLA_FLAGS'] = sys.argv[1]; jax.devices()"
    starts = {flags: subprocess.Popen([sys.executable, "-c", code, flags]) for flags in [" ".join(known), *unknown]}
    results = {flags: start.wait() for flags, start in starts.items()}
    assert results.pop(" ".join(known)) == 0
    assert 0 not in results.values()


def test_a_flag_is_found_by_its_whole_name_alone():
    assert is_known_flag("xla_force_host_platform_device_count")
    assert is_known_flag("--xla_force_host_platform_device_count=8")
    for part in ("force_host_platform_device_count", "xla_force_host_platform_device", "xla_", ""):
        assert not is_known_flag(part)
        assert not is_known_option(part)


def test_only_known_flags_and_options_are_kept():
    assert select_flags("--xla_none=1  --xla_backend_optimization_level=1") == "--xla_backend_optimization_level=1"
    assert select_flags("") == ""
    assert select_options({"xla_none": 1, "xla_backend_optimization_level": 1}) == {"xla_backend_optimization_level": 1}


def test_without_jaxlib_no_flag_is_known(monkeypatch):
    monkeypatch.setattr(xla_flags, "_library_of_xla", lambda: None)
    assert not is_known_flag.__wrapped__("xla_backend_optimization_level")


def test_the_search_imports_no_jax():
    code = "import sys; from ropelab.xla_flags import is_known_flag as f; f('xla_a'); sys.exit('jaxlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=os.environ, check=False).returncode == 0

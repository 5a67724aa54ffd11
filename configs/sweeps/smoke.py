"""Four tiny trainings, to see whether sweeps work on this machine.

    python -m experiments.sweep --sweep=configs/sweeps/smoke.py --workdir=runs/smoke_sweep --parallel=2

Sizes: configs/smoke.py with 20 steps; two encodings, two seeds.

Time: under two minutes on two CPU cores. Expected: `4 runs: 4 done, 0 skipped, 0 failed`, and when called again
`4 runs: 0 done, 4 skipped, 0 failed`.
"""

from ropelab.cli.sweeps.runs import Sweep, product, run, seeds, variants

FIELDS = {"steps": 20, "held.every": 0, "saving.every": 10}


def get_sweep() -> Sweep:
    encodings = variants(rope={"encoding": "RoPE(base=10000.0)"}, alibi={"encoding": "ALiBi()"})
    return product(run("train", "configs/smoke.py", name="", fields=FIELDS), encodings, seeds(2))

"""The command for a machine with an accelerator, in miniature, where packages are missing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from scaledis import methods

MISSING = ("ml_collections", "lightgbm", "tensorflow_datasets", "array_record", "torch")
RUN = """
import sys
sys.modules.update(dict.fromkeys({missing!r}))
from experiments.benchmarks import accelerator
accelerator.main(["--miniature", "--minutes=0.1", "--to={to}"])
"""


def test_every_part_runs_in_miniature_without_the_packages_that_a_lent_machine_may_lack(tmp_path):
    root = Path(__file__).parents[1]
    code = RUN.format(missing=MISSING, to=tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(root), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "results.json").read_text())
    assert list(results) == ["machine", "correctness", "resume", "speed", "pytorch", "table"]
    assert not [name for name, part in results.items() if "failed" in part], results
    assert {"torch", "ml_collections", "lightgbm"} <= {*results["machine"]["missing"]}
    assert results["machine"]["product_flops"] > 1e9
    of_method = results["correctness"]["scale_vlae"]
    assert of_method["close"] and 0 <= of_method["difference"] < 1e-3
    assert results["resume"]["scale_vlae"] == {"differing": []}
    speeds = [results["speed"][f"2 {form}"] for form in ("lax", "products")]
    assert all(0 < each["milliseconds_a_step"] < 1e5 and each["flops"] > 0 for each in speeds)
    assert results["table"]["steps"] == 20 and np.isfinite(results["table"]["terms"]["loss_nats"]).all()
    with np.load(tmp_path / "model-0.npz") as file:
        assert file["codes/mean"].shape == (96, 3) and file["codes/mean"].dtype == np.float16
        assert file["factors"].shape == (96, 2)


def test_the_reference_has_every_method():
    from experiments.benchmarks.accelerator import REFERENCE

    stored = json.loads(REFERENCE.read_text())
    assert stored.keys() == methods.specs().keys()
    assert all(np.isfinite(list(terms.values())).all() and "loss_nats" in terms for terms in stored.values())

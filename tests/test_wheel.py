"""The wheel, built from this checkout and unpacked beside the packages that are there: it works in an empty folder."""

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SMALL = ["data.resolution=16", "model.parameters=9000", "model.channels=(4,4,4,4)", "train.batch=8"]
SMALL += ["evaluate.train_codes=60", "evaluate.test_codes=30", "evaluate.metrics=mig", "evaluate.chance=0"]


@pytest.mark.skipif(int(importlib.metadata.version("setuptools").split(".")[0]) < 77, reason="needs setuptools>=77")
def test_the_wheel_trains_20_steps_outside_of_the_checkout(tmp_path):
    source, site, empty = tmp_path / "source", tmp_path / "site", tmp_path / "empty"
    for folder in ("scaledis", "configs"):
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("setup.py", "setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir"]
    subprocess.run([*pip, tmp_path, source], check=True)
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(site)
    [entry] = [path.read_text() for path in site.glob("*.dist-info/entry_points.txt")]
    assert "scaledis = scaledis.main:console" in entry
    assert {path.name for path in (site / "scaledis" / "configs").iterdir()} == {
        path.name for path in (ROOT / "configs").glob("*.py")
    }

    script = f"import sys; sys.path.insert(0, {str(site)!r}); from scaledis.main import console; console()"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    options = {"cwd": empty, "env": environment, "text": True}

    def scaledis(*arguments):
        command = [sys.executable, "-c", script, *arguments]
        return subprocess.run(command, **options, capture_output=True, timeout=300)

    empty.mkdir()
    done = scaledis("train", "vlae", "--steps=20", *(f"--config.{each}" for each in SMALL))
    assert done.returncode == 0, done.stderr
    assert "MIG" in done.stdout and (empty / "runs/vlae/report/index.html").exists()
    assert (empty / "runs/vlae/checkpoints/0/20").exists()
    planned = scaledis("sweep", "table2", "--dry_run")
    assert planned.returncode == 0 and planned.stdout.startswith("90 runs, 3 programs"), planned.stderr
    explore = [sys.executable, "-c", script, "explore", "--no_browser"]
    with subprocess.Popen(explore, **options, stdout=subprocess.PIPE) as server:  # of the model that comes along
        address = server.stdout.readline().split()[0]
        page = urllib.request.urlopen(address, timeout=60).read()
        question = json.dumps({"run": "few_first_rendered_32", "values": [0.0] * 10}).encode()
        image = urllib.request.urlopen(f"{address}decode", question, timeout=60).read()
        server.terminate()
    assert b"few_first_rendered_32" in page and image[:4] == b"\x89PNG"

"""The scripts and commands of docs/clusters.md parse, and every flag in them exists."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from scaledis import commands
from scaledis.core import command

DOCS = Path(__file__).parents[1] / "docs"
OWN = command.flags_of(commands.Train)


def test_the_slurm_script_is_bash_and_passes_flags_that_exist(tmp_path):
    path = DOCS / "slurm.sh"
    subprocess.run(["bash", "-n", path], check=True)
    fake = tmp_path / "srun"
    fake.write_text('#!/bin/bash\nprintf "%s\\n" "$@" > "$OUT"\nexit 3\n')
    fake.chmod(0o755)
    for given, expected in [
        ({}, []),
        ({"SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_COUNT": "4"}, ["--shard=1/4"]),
        ({"SLURM_NTASKS": "2"}, ["--distributed"]),
    ]:
        environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "OUT": str(tmp_path / "out"), **given}
        assert subprocess.run([path], env=environment).returncode == 3
        launcher, *line = (tmp_path / "out").read_text().split()
        assert launcher == "--kill-on-bad-exit=1"  # the others cannot go on without a task that failed
        assert line[:3] == [".venv/bin/python", "-m", "scaledis.main"] and line[6:] == expected
        assert {flag.partition("=")[0] for flag in line[3:]} <= OWN
        assert line[3].endswith(".py") and line[5] == f"--workdir=runs/{Path(line[3]).stem}"


def test_the_jobset_is_yaml_and_its_command_has_flags_that_exist():
    jobset = yaml.safe_load((DOCS / "jobset.yaml").read_text())
    [job] = jobset["spec"]["replicatedJobs"]
    spec = job["template"]["spec"]
    assert jobset["spec"]["failurePolicy"]["maxRestarts"] and not spec["backoffLimit"]
    [container] = spec["template"]["spec"]["containers"]
    assert container["command"][:3] == ["python", "-m", "scaledis.main"]
    given = dict(flag.split("=", 1) for flag in container["command"][3:])
    assert given.keys() <= OWN
    assert int(given["--processes"]) == spec["completions"] == spec["parallelism"]
    host = f"{jobset['metadata']['name']}-{job['name']}-0-0.{jobset['spec']['network']['subdomain']}"
    assert given["--coordinator"].partition(":")[0] == host


@pytest.mark.parametrize("command", re.findall(r"scaledis\.main(.*?)\n\n", (DOCS / "clusters.md").read_text(), re.S))
def test_the_commands_of_the_page_have_flags_that_exist(command):
    assert set() < set(re.findall(r"--[a-z_]+", command)) <= OWN
    assert "--config=configs/granularity.py --sweep=granularity" in command  # without a sweep it is one run

"""The command line as a user has it, on the tiny data set."""

import os
import re
import subprocess
import sys

import pytest

from scaledis.workdir import Workdir, read_json

ROOT = os.path.dirname(os.path.dirname(__file__))


def command(*arguments):
    line = [sys.executable, "-m", "tests.tiny", *arguments]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("a folder") / "demo"
    done = command("--config=tests/tiny_config.py", "--sweep=pair", f"--workdir={workdir}")
    assert done.returncode == 0, done.stderr
    return Workdir(workdir), done


def test_from_a_config_to_a_page(trained):
    workdir, done = trained
    assert "| vlae" in done.stdout and "| scale_vlae" in done.stdout and "tiny" in done.stdout
    html = (workdir.report / "index.html").read_text()
    for text in ("tiny", "DCI-D", "lightgbm", "scale_vlae", "tests/tiny_config.py"):
        assert text in html
    for name in ("traversals", "mutual_information", "losses", "reconstructions"):
        assert (workdir.report / f"{name}.png").read_bytes()[:4] == b"\x89PNG"


def test_every_result_names_its_data_set_and_backend(trained):
    workdir, _ = trained
    for name in ("vlae", "scale_vlae"):
        scores = read_json(workdir.run(name) / "scores.json")
        assert scores["dataset"] == "tiny" and scores["step"] == 6 and scores["run"] == name
        assert scores["all"]["dci/backend"] == "lightgbm"
        assert scores.keys() >= {"all", "level1", "level2"} and len(scores["unit_kl_nats"]) == 3


def test_the_command_again_does_nothing_anew(trained):
    workdir, first = trained
    before = {path: path.stat().st_mtime for path in (workdir.root / "runs").rglob("*.json*")}
    again = command(
        "--config=tests/tiny_config.py", "--sweep=pair", f"--workdir={workdir.root}", "--stages=train,evaluate"
    )
    assert again.returncode == 0, again.stderr
    assert before == {path: path.stat().st_mtime for path in (workdir.root / "runs").rglob("*.json*")}


def test_report_on_an_existing_workdir_needs_no_config(trained):
    workdir, first = trained
    again = command(f"--workdir={workdir.root}", "--stages=report")
    assert again.returncode == 0, again.stderr
    assert again.stdout == first.stdout


def test_another_config_is_refused_and_the_difference_named(trained):
    other = command("--config=tests/tiny_config.py", "--config.train.steps=8", f"--workdir={trained[0].root}")
    assert other.returncode == 2 and "config.train.steps is 6 there and 8 here" in other.stderr


def test_describe_prints_the_tree_with_counts():
    done = command("--config=tests/tiny_config.py", "--describe=network")
    lines = done.stdout.splitlines()
    counts = {line.split()[0]: int(line.split()[1].replace(",", "")) for line in lines[1:]}
    assert "scale_vlae (2, 1) on tiny" in lines[0] and f"{counts['network']:,} parameters" in lines[0]
    assert counts["encoder"] + counts["decoder"] == counts["network"]


def test_list_names_all_there_is_and_describe_a_methods_equation():
    listed = command("--list", "--config=tests/tiny_config.py").stdout
    for name in ("factor_vae", "rendered", "dci", "memory_bank", "seeds", "pair"):
        assert f"  {name} " in listed
    described = command("--describe=beta_stcvae").stdout
    for text in ("--config.method.block", "KL(q(z | x) || p(z))", "Chen et al. 2025", "free or rewarded"):
        assert text in described


def test_prepare_and_describe_a_data_set(tmp_path):
    prepared = command("--prepare=rendered")
    assert "tiny: 96 images of 16x16x3" in prepared.stdout and "a full grid" in prepared.stdout
    drawn = subprocess.run(
        [sys.executable, "-m", "tests.tiny", "--describe=rendered"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": ROOT},
        capture_output=True,
        text=True,
    )
    assert drawn.stdout.strip() == "rendered.png", drawn.stderr
    assert (tmp_path / "rendered.png").read_bytes()[:4] == b"\x89PNG"


def test_a_published_file_that_is_not_there_is_a_clear_error(tmp_path):
    line = [sys.executable, "-m", "scaledis.main", "--config=configs/celeba.py", f"--config.data.directory={tmp_path}"]
    done = subprocess.run([*line, f"--workdir={tmp_path}/run"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "img_align_celeba.zip" in done.stderr and "list_attr_celeba.txt" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config=tests/tiny_config.py", "--config.train.stepz=3"], 'unknown key .stepz. Did you mean "steps"'),
        (["--config=tests/tiny_config.py", "--config.trian.steps=3"], 'unknown key .trian. Did you mean "train"'),
        (["--config=tests/tiny_config.py", "--config.method.name=vale"], "method.name: 'vale' is unknown"),
        (["--config=tests/tiny_config.py", "--sweep=pears"], "--sweep: 'pears' is unknown. Did you mean 'pair'"),
        (["--config=tests/tiny_config.py", "--stages=trian"], "--stages: 'trian' is unknown. Did you mean 'train'"),
        (["--config=tests/tiny_config.py", "--config.train.steps=x"], "train.steps=x"),
        (["--config=tests/no_such.py"], "no_such.py"),
        (["--config=tests/tiny_config.py", "train"], "Arguments .'train'. are not understood"),
        (["--describe=beta_tcva"], "--describe: 'beta_tcva' is unknown. Did you mean 'beta_tcvae'"),
        (["--prepare=renderd"], "--prepare: 'renderd' is unknown. Did you mean 'rendered'"),
        (["--config=tests/tiny_config.py", "--config.evaluate.train_codes=90"], "120 codes, but tiny has 96 images"),
        ([], "--config: missing"),
        (["--workdir=/nowhere/at/all"], "holds no experiment"),
    ],
)
def test_a_wrong_command_is_one_sentence(arguments, message):
    done = command(*arguments)
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert re.search(message, done.stderr), done.stderr

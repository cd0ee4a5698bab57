"""The command line as a user has it, on the tiny data set."""

import functools
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pandas import DataFrame

from scaledis import commands, datasets, main, methods
from scaledis.commands import demo, results, train
from scaledis.config import flatten, thaw
from scaledis.core import UserError, errors, version
from scaledis.core.command import flags_of, parse
from scaledis.core.files import read_json, write_lines
from scaledis.methods import beta_vae
from scaledis.planning import dry_run
from scaledis.report import describe
from scaledis.sweeps.configs import make_config
from scaledis.training import engine, hooks, scores
from scaledis.workdir.layout import Workdir
from scaledis.workdir.log import read_records
from tests import tiny

ROOT = os.path.dirname(os.path.dirname(__file__))
CONFIG = "--config=tests/tiny_config.py"
PAIR = (CONFIG, "--sweep=pair")


@pytest.fixture(autouse=True)
def at_root(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    os.chdir(ROOT)
    workdir = tmp_path_factory.mktemp("a folder") / "demo"
    done = tiny.command(*PAIR, f"--workdir={workdir}")
    assert done.returncode == 0, done.stderr
    return Workdir(workdir), done


@pytest.fixture
def copy(trained, tmp_path):
    """A copy of the trained work directory, which a test may change."""
    shutil.copytree(trained[0].root, tmp_path / "copy")
    return Workdir(tmp_path / "copy")


def test_from_a_config_to_a_page(trained):
    workdir, done = trained
    assert "| vlae" in done.stdout and "| scale_vlae" in done.stdout and "tiny" in done.stdout
    html = (workdir.report / "index.html").read_text()
    for text in ("tiny", "DCI-D", "lightgbm", "scale_vlae", "tests/tiny_config.py"):
        assert text in html
    without_script = re.findall(r'<a href="(\w+).png">', html.partition("<noscript>")[2].partition("</noscript>")[0])
    assert without_script == ["traversals", "reconstructions", "mutual_information", "losses"]
    for name in without_script:
        assert (workdir.report / f"{name}.png").read_bytes()[:4] == b"\x89PNG"


def test_every_result_names_its_data_set_its_fingerprint_and_its_backend(trained):
    workdir, _ = trained
    for name in ("vlae", "scale_vlae"):
        scores = read_json(workdir.run(name) / "scores.json")
        assert scores["dataset"] == "tiny" and scores["step"] == 6 and scores["run"] == name
        assert scores["fingerprint"] == tiny.dataset().fingerprint and scores["version"] == version.VERSION
        assert scores["all"]["dci/backend"] == "lightgbm"
        assert scores.keys() >= {"all", "level1", "level2"} and len(scores["unit_kl_nats"]) == 3
        facts = workdir.dataset_of(name)
        assert facts["fingerprint"] == tiny.dataset().fingerprint and facts["train_size"] == 96
        assert (workdir.checkpoints(0) / "6" / "manifest.json").read_text().count(facts["fingerprint"]) == 1


def test_the_command_again_does_nothing_anew(trained):
    workdir, _ = trained
    before = tiny.tree(workdir.root)
    again = tiny.command(*PAIR, f"--workdir={workdir.root}", "--stages=train,evaluate")
    assert again.returncode == 0
    report = f"`scaledis report '--workdir={workdir.root}'`"  # the path has a space
    assert again.stderr == f"{workdir.root}: all 2 runs are trained already; {report} shows the results.\n"
    after = tiny.tree(workdir.root)
    assert before.pop("config.json") != after.pop("config.json")  # it has the last command
    assert before == after


def test_report_on_an_existing_workdir_needs_no_config(trained):
    workdir, first = trained
    before = tiny.tree(workdir.root)
    again = tiny.command(f"--workdir={workdir.root}", "--stages=report")
    assert again.returncode == 0 and again.stdout == first.stdout
    after = tiny.tree(workdir.root)
    assert {name: after[name] for name in after if not name.startswith("report/")} == {
        name: before[name] for name in before if not name.startswith("report/")
    }


def test_another_config_is_refused_and_the_difference_named(trained):
    for stages in ("train", "evaluate"):
        other = tiny.command(*PAIR, "--config.train.batch=9", f"--workdir={trained[0].root}", f"--stages={stages}")
        assert other.returncode == 2 and "another run named 'vlae': train.batch is 8 there and 9 here" in other.stderr


def test_a_finished_run_is_scored_by_another_metric_split_backend_and_step_side_by_side(copy):
    def scored(*arguments):
        done = tiny.command(*PAIR, f"--workdir={copy.root}", "--stages=evaluate", *arguments)
        assert done.returncode == 0, done.stderr
        return done, read_json(copy.run("vlae") / "scores.json")

    training = {name: of for name, of in tiny.tree(copy.root).items() if name.startswith("checkpoints/")}
    first = read_json(copy.run("vlae") / "scores.json")
    _, backend = scored("--config.evaluate.dci_backend=sklearn")
    assert backend["all"]["dci/backend"] == "sklearn"
    _, split = scored("--config.evaluate.split=train", "--config.evaluate.metrics=mig")
    assert split["split"] == "train" and {key.partition("/")[0] for key in split["all"]} == {"mig"}
    done, both = scored(
        "--stages=evaluate,report", "--config.evaluate.split=train", "--config.evaluate.metrics=dci,mig"
    )
    assert both["all"] == {**both["all"], **split["all"]} and "dci/disentanglement" in both["all"]
    assert "codes of &#x27;train&#x27;" in (copy.report / "index.html").read_text()
    _, early = scored("--step=4")
    assert early["step"] == 4
    _, again = scored()
    assert again == first  # what was asked for last stands in scores.json
    assert sorted(path.name for path in (copy.run("vlae") / "scores").iterdir()) == [
        "step=4,split=all,codes=60+30,seed=0,dci=lightgbm.json",
        "step=6,split=all,codes=60+30,seed=0,dci=lightgbm.json",
        "step=6,split=all,codes=60+30,seed=0,dci=sklearn.json",
        "step=6,split=train,codes=60+30,seed=0,dci=lightgbm.json",
    ]
    after = {name: of for name, of in tiny.tree(copy.root).items() if name.startswith("checkpoints/")}
    assert after == training
    none = tiny.command(*PAIR, f"--workdir={copy.root}", "--stages=evaluate", "--step=5")
    assert none.returncode == 2 and "--step: there is no checkpoint of step 5; there are [2, 4, 6]" in none.stderr


def test_evaluating_prints_the_table_of_the_page_and_where_the_scores_are(trained):
    workdir, _ = trained
    place = f"--workdir={workdir.root}"
    table = tiny.command("report", place).stdout.rpartition("\n\n")[0]
    assert "| vlae" in table
    where = f"Scores: {workdir.root}/runs/*/scores.json; `{workdir.report_command}` draws the page."
    assert tiny.command("evaluate", place).stdout == f"{table}\n\n{where}\n"


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_a_signal_between_two_scores_keeps_the_first_and_the_same_command_goes_on(name, copy, monkeypatch):
    line = ("evaluate", f"--workdir={copy.root}", "--config.evaluate.seed=2")
    compute = scores.compute

    def warned(metric, *args, **kwargs):
        if metric == "mig":
            os.kill(os.getpid(), getattr(signal, name))
        return compute(metric, *args, **kwargs)

    monkeypatch.setattr(scores, "compute", warned)
    done = tiny.command(*line)
    assert done.returncode == 130 and "Stopped between the scores of vlae; the same command resumes" in done.stderr
    first = read_json(copy.run("vlae") / "scores.json")
    assert "dci/disentanglement" in first["all"] and "mig/mig" not in first["all"]
    assert read_json(copy.run("scale_vlae") / "scores.json")["step"] == 6  # its first scores, of another seed
    monkeypatch.setattr(scores, "compute", compute)
    assert tiny.command(*line).returncode == 0
    whole = read_json(copy.run("vlae") / "scores.json")
    assert whole["all"].items() >= first["all"].items() and "mig/mig" in whole["all"] and "mig/mig" in whole["level1"]
    fresh = tiny.command(*line, "--config.evaluate.metrics=mig", "--config.evaluate.seed=2")
    assert fresh.returncode == 0 and "scoring" not in fresh.stderr


def test_evaluating_without_the_sweep_scores_every_run_as_the_config_says(copy):
    done = tiny.command(CONFIG, "--config.evaluate.seed=3", f"--workdir={copy.root}", "--stages=evaluate")
    assert done.returncode == 0 and "vlae: scoring\nscale_vlae: scoring" in done.stderr
    assert (copy.run("vlae") / "scores" / "step=6,split=all,codes=60+30,seed=3,dci=lightgbm.json").exists()


def test_evaluating_without_the_sweep_takes_the_changes_of_the_command(copy, monkeypatch):
    line, seen = [CONFIG, f"--workdir={copy.root}", "--stages=evaluate"], []
    done = tiny.command(*line, "--config.train.batch=9")
    assert done.returncode == 2 and "another run named 'vlae': train.batch is 8 there and 9 here" in done.stderr
    monkeypatch.setattr(results, "finish", lambda workdir, groups, *_: seen.extend(groups[0]))
    done = tiny.command(*line, "--config.data.memory=host", "--config.evaluate.seed=3")
    assert done.returncode == 0 and [run.name for run in seen] == ["vlae", "scale_vlae"]
    assert {(run.config.data.memory, run.config.evaluate.seed) for run in seen} == {("host", 3)}


def test_what_only_looks_changes_no_checkpoint_and_no_config(copy):
    """Not even where a checkpoint is damaged: training alone sets it aside."""
    path = next(path for path in (copy.checkpoints(0) / "6").rglob("*") if path.is_file() and path.stat().st_size > 999)
    path.write_bytes(path.read_bytes()[:-1])
    before = tiny.tree(copy.root)
    for line in ([CONFIG, "--config.evaluate.seed=1", "--stages=evaluate"], ["--stages=report"]):
        done = tiny.command(*line, f"--workdir={copy.root}")
        assert done.returncode == 0 and "checkpoint of step 6" in done.stderr
    assert read_json(copy.run("vlae") / "scores.json")["step"] == 4
    after = tiny.tree(copy.root)
    own = [name for name in after if not name.startswith("report/") and not re.search(r"scores|codes|results", name)]
    assert len(own) > 30 and {name: after[name] for name in own} == {name: before.get(name) for name in own}
    done = tiny.command(f"--workdir={copy.root}", "--stages=evaluate", "--step=6")
    assert done.returncode == 2 and "checkpoint of step 6 of vlae is damaged" in done.stderr


@pytest.mark.parametrize(
    ("file", "content", "stage", "message"),
    [
        ("config.json", "{", "report", "config.json is damaged"),
        ("config.json", {}, "report", "config.json is damaged: it lacks config, sweep, command"),
        ("plan.json", "[" * 100_000, "evaluate", "plan.json is damaged: it has no checksum"),
        (
            "plan.json",
            {"0": {"runs": ["vlae"], "allocation": "4"}},
            "report",
            "plan.json is damaged: a population is not",
        ),
        ("plan.json", {"0": ["scale_vlae", "vlae"]}, "train", "plan.json: a checkpoint is of"),
        ("runs/vlae/config.json", {}, "report", "runs/vlae/config.json is damaged: it lacks data"),
        ("runs/vlae/config.json", "nope", "train", "runs/vlae/config.json is damaged"),
        ("runs/vlae/scores.json", {}, "report", "runs/vlae/scores.json is damaged: it lacks all"),
        ("runs/vlae/codes.npz", "PK", "report", "runs/vlae/codes.npz is damaged"),
    ],
)
def test_a_damaged_file_is_one_sentence_that_names_it(copy, file, content, stage, message):
    if isinstance(content, str):
        (copy.root / file).write_text(content)
    else:
        write_lines(copy.root / file, content)
    with_config = PAIR if stage == "train" else ()
    done = tiny.command(*with_config, f"--workdir={copy.root}", f"--stages={stage}")
    assert done.returncode == 2 and message in done.stderr


def test_what_can_be_made_again_is_made_again(copy, trained):
    before = tiny.tree(trained[0].root)
    scores = "runs/vlae/scores/step=6,split=all,codes=60+30,seed=0,dci=lightgbm.json"
    (copy.root / scores).write_text('{"step": 6}')
    (copy.root / "runs/scale_vlae/scores.json").write_text("")
    codes = copy.run("scale_vlae") / "codes.npz"
    codes.write_bytes(codes.read_bytes()[:-9])
    (copy.root / "config.json").unlink()
    (copy.run("vlae") / "config.json").unlink()
    with open(copy.run("vlae") / "metrics.jsonl", "a") as file:
        file.write('null\n7\n{"loss_nats": 3}\n{"step": true}\n{"step": 8, "loss_nats": [1]}\n{"step": 1e9')
    done = tiny.command(*PAIR, f"--workdir={copy.root}")
    assert done.returncode == 0 and f"{copy.root / scores} is damaged: it has no checksum" in done.stderr
    for damaged in ("runs/scale_vlae/scores.json", "runs/scale_vlae/codes.npz", "runs/vlae/metrics.jsonl"):
        assert f"{copy.root / damaged} is damaged: " in done.stderr
    after = tiny.tree(copy.root)
    differing = {name for name in before if after.get(name) != before[name]}
    assert {name for name in differing if not re.search("metrics|report|results", name)} <= {
        "config.json",  # it has the command
        "runs/scale_vlae/codes.npz",  # an archive has the time in it
        "runs/vlae/codes.npz",
    }
    assert [record["step"] for record in read_records(copy.run("vlae") / "metrics.jsonl")][:3] == [2, 4, 6]


@pytest.fixture(scope="module")
def two_sets(tmp_path_factory):
    """Two archives whose images differ, and the load of `arrays`."""
    folder = tmp_path_factory.mktemp("sets")
    images = np.asarray(tiny.dataset().source)
    factors = tiny.dataset().factors(np.arange(96))
    np.savez(folder / "one.npz", images=images, factors=factors)
    np.savez(folder / "two.npz", images=images[:, ::-1, :, ::-1] // 2 + 9, factors=factors[:, ::-1])
    return folder


def test_a_sweep_over_data_sets_trains_and_scores_each_run_on_its_own(two_sets, tmp_path, linear_method):
    load = functools.cache(datasets.load)
    arrays = [CONFIG, "--config.data.name=arrays", "--config.method.name=linear", "--config.train.steps=2"]
    paths = [str(two_sets / name) for name in ("one.npz", "two.npz")]
    sweep = f"--sweep=data.path={','.join(paths)}"
    done = tiny.command(*arrays, sweep, f"--workdir={tmp_path / 'both'}", load=load)
    assert done.returncode == 0, done.stderr
    both = Workdir(tmp_path / "both")
    names = sorted(os.listdir(both.root / "runs"))
    assert len(names) == 2 and all(os.path.basename(name) == name and "path=" in name for name in names)
    seen = []
    for path, name in zip(paths, names, strict=True):
        alone = Workdir(tmp_path / os.path.basename(path))
        own = [f"--config.data.path={path}", f"--workdir={alone.root}", "--stages=train,evaluate"]
        done = tiny.command(*arrays, *own, load=load)
        assert done.returncode == 0, done.stderr
        one, other = read_json(both.run(name) / "scores.json"), read_json(alone.run("run") / "scores.json")
        assert one["dataset"] == other["dataset"] == f"arrays: {os.path.basename(path).removesuffix('.npz')}"
        assert one["fingerprint"] == other["fingerprint"]
        assert {key: one[key] for key in one if key != "run"} == {key: other[key] for key in other if key != "run"}
        seen.append(one)
    assert seen[0]["fingerprint"] != seen[1]["fingerprint"] and seen[0]["all"] != seen[1]["all"]
    page = (both.report / "index.html").read_text()
    assert "arrays: one and arrays: two" in page


def test_a_file_that_was_replaced_between_stop_and_resume_is_an_error(two_sets, tmp_path):
    path = tmp_path / "mine.npz"
    shutil.copy(two_sets / "one.npz", path)
    line = [CONFIG, "--config.data.name=arrays", f"--config.data.path={path}", f"--workdir={tmp_path / 'run'}"]
    line += ["--config.method.name=vlae"]
    line += ["--config.train.steps=2", "--stages=train"]
    assert tiny.command(*line, load=datasets.load).returncode == 0
    shutil.copy(two_sets / "two.npz", path)
    for more in (["--config.train.steps=4"], ["--stages=evaluate"], ["--stages=report"]):
        done = tiny.command(*line, *more, load=datasets.load)
        assert done.returncode == 2 and "data: run was trained on other images or factors" in done.stderr, done.stderr
        assert "fingerprint was" in done.stderr
    assert Workdir(tmp_path / "run").checkpoints(0).joinpath("2").exists()


def test_a_population_that_was_not_reached_is_trained_by_the_same_command(tmp_path, monkeypatch):
    line = [CONFIG, "--sweep=seeds:2", "--config.train.parallel=1", "--config.train.steps=2", f"--workdir={tmp_path}"]
    train_population = engine.train_population

    def killed(runs, index, *args, **kwargs):
        if index:
            raise KeyboardInterrupt
        return train_population(runs, index, *args, **kwargs)

    monkeypatch.setattr(engine, "train_population", killed)
    with pytest.raises(KeyboardInterrupt):
        tiny.command(*line, "--stages=train")
    monkeypatch.undo()
    monkeypatch.chdir(ROOT)
    changed = tiny.command(*line, "--config.train.batch=9", "--stages=train")
    assert changed.returncode == 2 and "train.batch is 8 there and 9 here" in changed.stderr
    done = tiny.command(*line, "--stages=train,evaluate")
    assert done.returncode == 0, done.stderr
    assert all((Workdir(tmp_path).run(f"seed={seed}") / "scores.json").exists() for seed in (0, 1))
    early = tiny.command(*line, "--stages=evaluate", "--step=2")
    assert early.returncode == 0


def test_a_signal_ends_the_command_with_a_checkpoint(tmp_path, monkeypatch):
    append = hooks.Records.append

    def warned(records, record):
        os.kill(os.getpid(), signal.SIGUSR2)
        append(records, record)

    monkeypatch.setattr(hooks.Records, "append", warned)
    done = tiny.command(CONFIG, f"--workdir={tmp_path}")
    assert done.returncode == 130 and "Stopped at step 2 of 6; the same command resumes from there" in done.stderr
    assert os.listdir(Workdir(tmp_path).checkpoints(0)) == ["2"]


def test_a_bug_in_a_method_keeps_its_traceback(tmp_path, monkeypatch):
    """And a UserError from the same place is one sentence."""
    monkeypatch.setattr(methods.REGISTRY, "registered", {})
    line = [CONFIG, "--config.method.name=broken", "--config.model.allocation=(3,)", f"--workdir={tmp_path / 'run'}"]

    def broken(error):
        def build(config, images):
            raise error("the method has said no")

        methods.register_method("broken", build, equation="R = 0")
        return tiny.command(*line)

    with pytest.raises(ValueError, match="^the method has said no$") as bug:
        broken(ValueError)
    assert bug.type is ValueError  # no UserError, which is one too
    assert broken(errors.UserError) == (2, "", "scaledis: the method has said no\n")


def test_a_method_of_ones_own_trains_resumes_and_is_reported(tmp_path, monkeypatch):
    parameters = beta_vae.METHODS["beta_vae"].hyperparameters
    monkeypatch.setattr(methods.REGISTRY, "registered", {})
    methods.register_method("mine", beta_vae.build, equation="R = 2 KL", hyperparameters=parameters)
    line = [CONFIG, "--config.method.name=mine", "--config.model.allocation=(3,)", f"--workdir={tmp_path}"]
    assert tiny.command(*line, "--config.train.steps=2", "--stages=train").returncode == 0
    done = tiny.command(*line)
    assert done.returncode == 0 and "| mine" in done.stdout or "| run" in done.stdout
    assert [record["step"] for record in read_records(Workdir(tmp_path).run("run") / "metrics.jsonl")] == [2, 4, 6]
    assert "mine" in (tmp_path / "report" / "index.html").read_text()


def test_describe_prints_the_tree_with_counts():
    lines = tiny.command("describe", "network", CONFIG, "--config.model.network=").stdout.splitlines()
    counts = {line.split()[0]: int(line.split()[1].replace(",", "")) for line in lines[1:]}
    assert "scale_vlae (2, 1) on tiny" in lines[0] and f"{counts['network']:,} parameters" in lines[0]
    assert counts["encoder"] + counts["decoder"] == counts["network"]


def test_list_names_all_there_is_and_describe_a_methods_equation():
    listed = tiny.command("list", CONFIG).stdout
    for name in ("factor_vae", "rendered", "dci", "memory_bank", "udr", "seeds", "pair"):
        assert f"  {name} " in listed
    described = tiny.command("describe", "beta_stcvae").stdout
    for text in ("--config.method.block", "KL(q(z | x) || p(z))", "Chen et al. 2025", "free or rewarded"):
        assert text in described
    for name, paper in (("dci", "Eastwood & Williams 2018"), ("udr", "Returns the UDR of each run")):
        assert paper in tiny.command("describe", name).stdout


def test_prepare_and_describe_a_data_set(tmp_path, monkeypatch):
    prepared = tiny.command("prepare", "rendered")
    assert "tiny: 96 images of 16x16x3" in prepared.stdout and "a full grid" in prepared.stdout
    monkeypatch.chdir(tmp_path)
    drawn = tiny.command("describe", "rendered")
    assert drawn.stdout.strip() == "rendered.png", drawn.stderr
    assert (tmp_path / "rendered.png").read_bytes()[:4] == b"\x89PNG"


def test_a_data_set_is_described_with_all_its_options(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("mine.npz", images=np.linspace(0, 1, 12 * 16 * 16).reshape(12, 16, 16))
    line = ["describe", "arrays", "--config.data.path=mine.npz", f"--data_dir={tmp_path}"]
    assert "data.scale=True" in tiny.command(*line, load=datasets.load).stderr
    done = tiny.command(*line, "--config.data.scale=True", load=datasets.load)
    assert done.stdout == "arrays.png\n" and (tmp_path / "arrays.png").exists(), done.stderr


def test_a_published_file_that_is_not_there_is_a_clear_error(tmp_path):
    line = ["--config=configs/celeba.py", f"--config.data.directory={tmp_path}", f"--workdir={tmp_path}/run"]
    done = tiny.command(*line, load=datasets.load)
    assert done.returncode == 2
    assert "img_align_celeba.zip" in done.stderr and "list_attr_celeba.txt" in done.stderr
    assert not (tmp_path / "run").exists()


def test_very_many_runs_are_trained_only_if_that_is_meant(tmp_path, monkeypatch):
    monkeypatch.setattr(train, "MANY_RUNS", 1)
    monkeypatch.setitem(train.ENGINES, "local", train.Engine(lambda *_, **__: []))
    arguments = (*PAIR, f"--workdir={tmp_path}/run")
    done = tiny.command(*arguments)
    message = "scaledis: --sweep: it gives 2 runs; --dry_run prints what they take, and --yes trains them.\n"
    assert (done.returncode, done.stderr) == (2, message) and not (tmp_path / "run").exists()
    assert tiny.command(*arguments, "--yes", "--stages=train").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            [CONFIG, "--config.train.stepz=3"],
            "'train.stepz' is .* 'train.steps'. Keys of train: [^.]*, steps. `scaledis describe config` prints",
        ),
        ([CONFIG, "--config.trian.steps=3"], "'trian.steps' is unknown. Did you mean 'train.steps'. Sections: data, "),
        ([CONFIG, "--config.method.name=vale"], "method.name: 'vale' is unknown"),
        ([CONFIG, "--sweep=pears"], "--sweep: 'pears' is unknown. Did you mean 'pair'"),
        ([CONFIG, "--stages=trian"], "--stages: 'trian' is unknown. Did you mean 'train'"),
        ([CONFIG, "--config.train.steps=x"], "train.steps: 'x' must be a whole number"),
        ([CONFIG, "--config.train.steps=3.5"], "train.steps: 3.5 must be a whole number"),
        ([CONFIG, "--config.train.steps=True"], "train.steps: True must be a whole number"),
        ([CONFIG, "--config.data.scale=null"], "data.scale: 'null' must be"),
        ([CONFIG, "--config.method.fade=1", "--config.method.name=vae"], "'fade' is unknown. Choices: none"),
        ([CONFIG, f"--config.train.steps={2**32}"], "train.steps: 4294967296 must be a whole number from 1 to"),
        ([CONFIG, f"--config.seed={'7' * 60}"], "seed: a number of about 60 digits must be"),
        ([CONFIG, "--config.objective.sigma=1e39"], r"objective.sigma: 1e\+39 .* that a float32 can hold"),
        ([CONFIG, "--steps=9.5"], "--steps: '9.5' must be a whole number"),
        (["train", "--workdir=/nowhere", "--config.seed"], "--config.seed: the value is missing"),
        ([CONFIG, "--time_limit=50"], "--time_limit: '50' must be a number with its unit"),
        ([CONFIG, "--to=there"], "--to: `scaledis train` has no such flag; it belongs to `scaledis extract`"),
        ([CONFIG, "--chance=3"], "--chance: .* belongs to `scaledis score`"),
        ([CONFIG, "--descibe=x"], "flag: '--descibe' is unknown"),
        (["--describe=vlae"], "--describe: is a command now, see `scaledis describe --help`"),
        (["train", "vae", "--lr=1e-3"], "--lr: a key of the config is spelled --config.train.learning_rate=VALUE or"),
        (["train", "vae", "--train.batch=3"], "a key of the config is spelled --config.train.batch=VALUE. "),
        (["train", "vae", "--batch_size=3"], "a key of the config is spelled --config.train.batch=VALUE. "),
        (["score", "x.npz", "--lr=1"], "flag: '--lr' is unknown.* Choices: --chance"),
        (["train", "vale"], "name of a config or a method: 'vale' is unknown. Did you mean 'vae'"),
        (["train", "quickstart", CONFIG], "--config: .* and the name quickstart are two configs"),
        (["sweep", "quickstart"], "sweep: 'quickstart' is unknown. Choices: allocations, demo"),
        (["evaluate", CONFIG, "--engine=ray"], "--engine: .* belongs to `scaledis train` and `scaledis sweep`"),
        ([CONFIG, f"--config.schedule.capacity=warmup:{'9' * 25}"], "schedule.capacity: 'warmup:9+' .* below 10"),
        ([CONFIG, "--config.train.batch=10000000"], "train.batch: 10000000 is too large to be allocated"),
        ([CONFIG, f"--config.objective.bank={2**32}"], "objective.bank: 4294967296 must be"),
        (
            [CONFIG, "--config.discriminator.layers=300"],
            "discriminator.layers: 300 must be a whole number from 1 to 64",
        ),
        ([CONFIG, "--config.method.name=vae", "--config.model.latents=10000"], "model.latents: 10000 is too large"),
        ([CONFIG, "--config.model.parameters=10"], "model.parameters: 10 is too few"),
        ([CONFIG, "--config.data.correlation=(('a','b',0.2),)"], "data.correlation"),
        ([CONFIG, "--config.data.held_out=1.0"], "data.held_out: 1.0 must be a share"),
        ([CONFIG, "--config.data.held_out=0.0", "--config.evaluate.split=held_out"], "leaves no images"),
        ([CONFIG, "--dry_run", "--config.evaluate.split=held_out"], "data.held_out: 0.0 leaves no images"),
        ([CONFIG, "--config.evaluate.train_codes=100000"], "evaluate.train_codes: 100000 .* leaves 96 of 96 images"),
        ([CONFIG, "--dry_run", "--config.evaluate.test_codes=100000"], "evaluate.train_codes: 60 .* leaves 0 of 96"),
        ([CONFIG, "--config.data.resolution=1000000"], "data.resolution: 1000000 must be a whole number from 0 to"),
        ([CONFIG, "--config.data.held_out_by=folder"], "data.held_out_by: 'folder' holds nothing out"),
        (
            [CONFIG, "--dry_run", "--config.data.held_out=.5", "--config.data.held_out_by=plce"],
            "data.held_out_by: 'plce' is unknown. Did you mean 'place'",
        ),
        ([CONFIG, "--config.method.name=beta_vae_hfs", "--config.model.allocation=(1,)"], "needs 2 units or more"),
        (["--config=tests/no_such.py"], "no_such.py cannot be read; .* given by name: 3dshapes, "),
        (["train", "vlae", "more"], "'more' is one argument too many"),
        (["describe", "beta_tcva"], "'beta_tcva' is unknown. Did you mean 'beta_tcvae'"),
        (["prepare", "renderd"], "prepare: 'renderd' is unknown. Did you mean 'rendered'"),
        (["train"], "--config: missing"),
        (["--workdir=/nowhere/at/all"], "holds no experiment"),
        ([CONFIG, "--workdir=~nosuchuser/run"], "workdir: '~nosuchuser/run' cannot be a directory"),
    ],
)
def test_a_wrong_command_is_one_sentence_and_writes_nothing(arguments, message, tmp_path):
    workdir = [f"--workdir={tmp_path / 'run'}"]
    if any("workdir" in each for each in arguments) or arguments[0] in ("prepare", "score") or arguments == ["train"]:
        workdir = []
    done = tiny.command(*arguments, *workdir)
    assert done.returncode == 2 and done.stderr.startswith("scaledis: ") and len(done.stderr.splitlines()) <= 2
    assert re.search(message, done.stderr), done.stderr
    assert not (tmp_path / "run").exists()


DEFAULT = "from scaledis.sweeps.configs import default, make_config\n\ndef get_config():\n    "
FILES = {
    DEFAULT + "return default().to_dict()": None,
    DEFAULT + "c = default(); c.train.batch = 8.0; return c": None,
    DEFAULT + "import numpy; c = default(); c.model.allocation = numpy.array([3, 4]); return c": None,
    DEFAULT + "c = default(); c.train.steps = 'x'; return c": "train.steps: 'x' must be a whole number",
    DEFAULT + "c = default(); del c.schedule; return c": "config.schedule: is missing; get_config must return default",
    DEFAULT + "c = default(); del c.train.steps; return c": "config.train.steps: is missing",
    DEFAULT + "c = default().to_dict(); del c['method']['beta']; return c": "config.method.beta: is missing",
    DEFAULT + "c = default(); del c.seed; return c": "config.seed: is missing",
    DEFAULT + "c = default(); del c.method; return c": "config.method: is missing",
    DEFAULT + "return None": "config: NoneType is not a config; get_config must return default",
    DEFAULT + "return [1]": "config: list is not a config",
    DEFAULT + "c = default().to_dict(); c['train'] = 3; return c": "config.train: 3 must be a section with keys",
    DEFAULT + "c = default(); c.lock(); c.trian.steps = 3": 'unknown key .trian. Did you mean "train"',
    DEFAULT + "return make_config('vlea')": "scaledis: method: 'vlea' is unknown. Did you mean 'vlae'",
    DEFAULT + "exit(3)": r"mine.py calls sys.exit\(3\); get_config must return default",
    DEFAULT + "return {}['x']": KeyError,
    DEFAULT + "return None.steps": AttributeError,
    DEFAULT + "raise ValueError": ValueError,
    DEFAULT + "return 3 + 'x'": TypeError,
    DEFAULT + "open('/nowhere')": FileNotFoundError,
    "import no_such_module": ModuleNotFoundError,
    "": "mine.py defines no function get_config",
    "get_config = 3": "mine.py defines no function get_config",
    "def get_config(:": r"mine.py is not a Python file: invalid syntax \(mine.py, line 1\)",
    "\0PK": "mine.py is not a Python file: source code string cannot contain null bytes",
    "def get_config(tier): ...": r"mine.py calls get_config\(\), but the file has get_config\(tier\)",
}


@pytest.mark.parametrize("content", FILES)
def test_what_a_config_file_may_be(tmp_path, content, monkeypatch):
    monkeypatch.setattr(describe, "tree", lambda config, images: "on tiny")
    path, expected = tmp_path / "mine.py", FILES[content]
    path.write_text(content)
    line = ["describe", "network", f"--config={path}", f"--workdir={tmp_path / 'run'}"]
    if isinstance(expected, type):
        with pytest.raises(expected):  # a bug in the file keeps its traceback
            tiny.command(*line)
        return
    done = tiny.command(*line)
    assert done.returncode == (2 if expected else 0), done.stderr
    assert re.search(expected or "on tiny", done.stderr + done.stdout)
    assert not expected or len(done.stderr.splitlines()) == 1


def test_values_on_the_command_line_are_those_of_python(monkeypatch):
    monkeypatch.setattr(dry_run, "report", lambda runs, *_: repr(runs))

    def planned(*arguments):
        done = tiny.command(CONFIG, *arguments, "--dry_run")
        assert done.returncode == 0, done.stderr
        return done.stdout

    given = ("steps=5000", "steps=5e3", "steps=5_000", "steps=5000.0")
    assert len({planned(f"--config.train.{each}") for each in given}) == 1
    assert len({planned(f"--config.model.allocation={each}") for each in ("(2,2)", "[2,2]", "2,2", "[2.0,2]")}) == 1
    assert len({planned(f"--sweep=model.allocation={each}") for each in ("(2,2),(1,2)", "[2,2],[1,2]")}) == 1
    done = tiny.command(CONFIG + ":paper", "--dry_run")
    assert done.returncode == 2
    assert "tiny_config.py:paper calls get_config('paper'), but the file has get_config()." in done.stderr


def test_every_command_has_a_word_its_own_help_and_a_class(trained, tmp_path):
    assert "  pair " in tiny.command("list", CONFIG).stdout
    assert tiny.command("report", f"--workdir={trained[0].root}").stdout == trained[1].stdout
    assert tiny.command("evaluate", f"--workdir={trained[0].root}").returncode == 0
    done = tiny.command("train", CONFIG, "--steps=2", "--stages=train", f"--workdir={tmp_path}")
    assert done.returncode == 0 and (Workdir(tmp_path).checkpoints(0) / "2").exists()
    overview = tiny.command("help").stdout
    for word, entry in main.COMMANDS.items():
        command = getattr(commands, entry.name)
        about = tiny.command(word, "--help")
        assert f"scaledis {word} " in overview and command.word == word and about.returncode == 0
        assert f"examples:\n  scaledis {word}" in about.stdout and tiny.command("help", word) == about
        assert all(f"{flag} " in about.stdout for flag in flags_of(command))
    codes = str(trained[0].run("vlae") / "codes.npz")
    for rest, sentence in [
        (("evalute",), "command: 'evalute' is unknown. Did you mean 'evaluate'"),
        (("score", "nowhere.npz"), "nowhere.npz: there is no such file"),
        (("score", codes, "--metrics=mig", f"--out={codes}/x"), f"--out: {codes}/x cannot be written"),
        (("explore", "nowhere"), "nowhere holds no experiment"),
        (("describe",), "the following arguments are required: thing"),
    ]:
        done = tiny.command(*rest)
        assert done.returncode == 2 and sentence in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("word", ["train quickstart", "train scale_vlae", "sweep table2", "train celeba:vlae"])
def test_a_config_and_a_method_are_found_by_name(word, monkeypatch, tmp_path):
    """The same runs as --config=FILE gives; the directory has the name."""
    monkeypatch.chdir(tmp_path)  # outside of the checkout
    verb, name = word.split()
    command = {"train": commands.Train, "sweep": commands.Sweep}[verb](name, data="rendered", steps=7, seeds=None)
    runs, stem = command.runs(), name.partition(":")[0]
    assert command.directory.root == Path("runs") / {"scale_vlae": "scale_vlae-rendered"}.get(name, stem)
    assert {(run.config.data.name, run.config.train.steps) for run in runs} == {("rendered", 7)}
    file = f"{ROOT}/configs/{name.replace(':', '.py:') if ':' in name else f'{name}.py'}"
    if name == "scale_vlae":
        file = f"{ROOT}/configs/method.py:scale_vlae"
        expected = {**methods.choose(name).settings_for("rendered"), "train.steps": 7}
        assert flatten(thaw(runs[0].config)).items() >= expected.items()
    sweep = ("table2",) if verb == "sweep" else ()
    changes = {"data.name": "rendered", "train.steps": 7}
    assert commands.Train(config=file, overrides=changes, sweep=sweep).runs() == runs
    assert len(runs) == (90 if verb == "sweep" else 1)
    parsed = parse(type(command), shlex.split(command.line())[2:])
    assert parsed == command and command.record()["command"].startswith(f"scaledis {word} --data=rendered --steps=7")


@pytest.mark.parametrize("words", [("table2",), ("quickstart", "demo"), ("quickstart", "demo", "train.batch=8,16")])
def test_a_sweep_of_a_config_file_is_that_of_its_name(words):
    name, *product = words
    named, given = (parse(commands.Sweep, line) for line in (words, [f"--config=configs/{name}.py", *product]))
    assert given.runs() == named.runs() and given.directory.root == named.directory.root == Path("runs") / name
    assert parse(commands.Sweep, shlex.split(given.line())[2:]) == given and len(given.runs()) > 5


@pytest.mark.parametrize("method", ["beta_stcvae", "pro_vlae", "vae"])
def test_a_data_set_by_its_flag_is_that_by_its_key(method):
    key, flag = commands.Train(method, overrides={"data.name": "dsprites"}), commands.Train(method, data="dsprites")
    expected = flatten(thaw(make_config(method, {"data.name": "dsprites"})))
    assert [flatten(thaw(each.runs()[0].config)) for each in (key, flag)] == [expected, expected]
    assert key.directory.root == flag.directory.root == Path(f"runs/{method}-dsprites")


def test_a_sweep_over_data_sets_does_not_take_the_settings_of_another():
    sweep = ("data.name=rendered,dsprites",)
    with pytest.raises(
        UserError, match="--sweep: pro_vlae has other settings for dsprites than for rendered; give --d"
    ):
        commands.Train("pro_vlae", sweep=sweep).runs()
    assert [run.name for run in commands.Train("vae", sweep=sweep).runs()] == ["name=rendered", "name=dsprites"]


def test_a_flag_and_its_key_are_not_two_values():
    for key, value, short in (("data.name", "rendered", {"data": "dsprites"}), ("train.steps", "2e2", {"steps": 100})):
        with pytest.raises(UserError, match=f"--config.{key}: .* is not the .* of its own flag; give one"):
            commands.Train("vae", overrides={key: value}, **short).runs()
    [run] = commands.Train("vae", overrides={"train.steps": "2e2"}, steps=200).runs()
    assert run.config.train.steps == 200


def test_the_runs_of_a_directory_take_changes_without_a_config(copy):
    done = tiny.command("evaluate", f"--workdir={copy.root}", "--config.evaluate.seed=5")
    assert done.returncode == 0, done.stderr
    assert (copy.run("vlae") / "scores" / "step=6,split=all,codes=60+30,seed=5,dci=lightgbm.json").exists()
    done = tiny.command(f"--workdir={copy.root}", "--config.train.batch=9")
    assert done.returncode == 2 and "train.batch is 8 there and 9 here" in done.stderr


def test_a_time_limit_ends_with_a_checkpoint_and_the_same_command_goes_on(tmp_path, linear_method):
    line = ["--config.method.name=linear", "--steps=1_000_000", "--stages=train", f"--workdir={tmp_path}"]
    ends = []
    for _ in range(2):
        done = tiny.command(CONFIG, *line, "--time_limit=1s", "--config.train.checkpoint_every=100000")
        assert done.returncode == 130, done.stderr
        [end] = re.findall(r"Stopped at step (\d+) of 1000000; the same command resumes from there", done.stderr)
        ends.append(int(end))
        assert Workdir(tmp_path).checkpoints(0).joinpath(end).exists()
    assert 0 < ends[0] < ends[1] < 1_000_000


def test_a_comparison_has_its_interval_and_says_where_it_contains_0():
    rows = [("scale_vlae", seed, 0.3 + 0.01 * seed, 0.2 + 0.1 * (seed % 2)) for seed in range(3)]
    rows += [("vlae", seed, 0.1 + 0.012 * seed, 0.2) for seed in range(3)]
    lines = demo.comparison(DataFrame(rows, columns=["method.name", "seed", *demo.SCORES])).splitlines()
    # The differences are .2, .198, .196: .198 +- 4.303 * .002 / sqrt(3).
    assert lines[1] == "  DCI-D 0.310 - 0.112 = +0.198, 95 % interval +0.193 to +0.203 over 3 seeds"
    assert "MIG" in lines[2] and "it contains 0" in lines[2]


def test_nothing_is_written_that_is_not_json(trained):
    found = [path for path in trained[0].root.rglob("*.json") if "state" not in path.parts]
    assert len(found) > 8
    for path in found:
        json.loads(path.read_text(), parse_constant=pytest.fail)  # NaN and Infinity are no JSON


def test_a_reader_that_has_seen_enough_ends_the_command_quietly():
    """`scaledis list | head -1`."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "scaledis.main", "list"]
    done = subprocess.run(command, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert done.returncode == 141 and done.stderr == ""


def test_letters_that_a_terminal_cannot_show_are_escaped(monkeypatch):
    """Under another locale than one of UTF-8, as in the table of a report, or a path of other bytes."""
    shown = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", shown)
    with errors.sentences():
        print("MIG – \udcff")
    assert shown.buffer.getvalue() == b"MIG \\u2013 \\udcff\n"

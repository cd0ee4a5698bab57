"""A sweep as tasks of a Ray cluster of two nodes, of which one is lost; a halving, of which a worker is killed."""

import os
import signal

import jax
import numpy as np
import pytest

from scaledis.core.errors import Stopped, UserError
from scaledis.search import ray_cluster, stages
from scaledis.sweeps.expand import expand
from scaledis.sweeps.shards import Shard
from scaledis.training.engine import Job
from scaledis.training.load import load_results, load_run
from scaledis.workdir import decisions
from scaledis.workdir.checkpoint import Checkpoints
from scaledis.workdir.layout import Workdir
from scaledis.workdir.log import read_records
from tests import tiny

ray = pytest.importorskip("ray", reason="Ray has no wheel for this Python")
from ray.cluster_utils import Cluster  # noqa: E402

BASE = {"config": {}, "sweep": ["seeds"], "command": "test"}
# The soonest compiled of what a worker knows, which imports no tests.
OF_WORKERS = {"data__name": "arrays", "method__name": "vae", "model__network": ""}


@pytest.fixture(scope="module")
def cluster():
    """Two nodes of one core each."""
    head = {"num_cpus": 1, "include_dashboard": False, "_system_config": {"health_check_period_ms": 500}}
    nodes = Cluster(initialize_head=True, head_node_args=head)
    second = nodes.add_node(num_cpus=1)
    ray.init(address=nodes.address, log_to_driver=False)
    yield nodes, second
    ray.shutdown()
    nodes.shutdown()


def written(folder):
    """The tiny data set as a file, which a worker can read."""
    images = tiny.dataset()
    path = folder / "tiny.npz"
    index = np.arange(images.size)
    np.savez(path, images=images.images(index), factors=images.factors(index))
    return path


def test_a_sweep_ends_although_a_node_is_lost(cluster, tmp_path, monkeypatch):
    nodes, second = cluster
    monkeypatch.setattr(ray_cluster, "PATIENCE", 0.05)
    config = OF_WORKERS | {"data__path": str(written(tmp_path)), "train__steps": 200, "train__parallel": 1}
    config |= {"train__checkpoint_every": 20, "evaluate__metrics": ("mig",)}
    workdir, lost = Workdir(tmp_path / "runs"), []

    def lose_a_node():
        begun = [index for index in range(2) if Checkpoints(workdir.checkpoints(index)).steps]
        if len(begun) == 2 and not lost:
            nodes.remove_node(second)
            lost.extend(begun)
        return False

    runs = expand(tiny.plain(**config), ["seeds:2"])
    with workdir.locked():
        groups = ray_cluster.train_all(Job(workdir, BASE, runs, evaluate=True), lose_a_node)
    assert lost and [len(group) for group in groups] == [1, 1]
    table = load_results(workdir.root)
    assert sorted(table["seed"]) == [0, 1] and (table["step"] == 200).all()
    for run in runs:
        steps = [record["step"] for record in read_records(workdir.run(run.name) / "metrics.jsonl")]
        assert steps == sorted(set(steps)) and steps[-1] == 200, "nothing is done twice, and nothing lost"


def test_a_signal_stops_the_tasks_at_a_checkpoint(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(ray_cluster, "PATIENCE", 0.05)
    config = OF_WORKERS | {"data__path": str(written(tmp_path)), "train__steps": 100_000}
    workdir = Workdir(tmp_path / "runs")
    log = workdir.run("run") / "metrics.jsonl"
    with pytest.raises(Stopped, match="Stopped with a checkpoint of every population"):
        job = Job(workdir, BASE, expand(tiny.plain(**config), []))
        ray_cluster.train_all(job, lambda: bool(read_records(log)))
    assert Checkpoints(workdir.checkpoints(0)).newest == read_records(log)[-1]["step"] < 100_000


def test_a_halving_that_is_stopped_and_loses_a_worker_decides_as_the_local_engine(cluster, tmp_path, monkeypatch):
    """The better learning rate goes on: one run each of two populations, which are packed into one by a task."""
    nodes, _ = cluster
    nodes.add_node(num_cpus=2)
    monkeypatch.setattr(ray_cluster, "PATIENCE", 0.05)
    config = OF_WORKERS | {"data__path": str(written(tmp_path)), "train__parallel": 2}
    config |= {"train__steps": 200, "train__checkpoint_every": 20}
    runs = expand(tiny.plain(**config), ["seeds:2", "train.learning_rate=1e-3,1e-9"])
    base = {**BASE, "halving": "eta:2,rungs:1,by:loss_nats,best:min"}
    there, here = (Workdir(tmp_path / name) for name in ("ray", "local"))
    killed = []

    def kill():
        if not killed and (Checkpoints(there.checkpoints(2)).newest or 0) > 100:
            killed.append(int((there.root / ".lock-2").read_text().split()[1]))  # the worker that trains it
            os.kill(killed[0], signal.SIGKILL)
        return False

    with there.locked():
        with pytest.raises(Stopped, match="Stopped at a rung"):
            ray_cluster.train_all(Job(there, base, runs), there.rungs.exists)
        assert len(there.planned()) == 2
        ray_cluster.train_all(Job(there, base, runs), kill)
    stages.train_all(Job(here, base, runs, beside=()))
    assert killed and there.planned() == here.planned() and len(there.groups()[2]) == 2
    [found], [wanted] = (decisions.read(each.rungs)["*"] for each in (there, here))
    assert (found.step, found.go_on) == (wanted.step, wanted.go_on) and found.step == 100
    assert {*found.go_on} == {*there.groups()[2]}
    assert found.numbers == pytest.approx(wanted.numbers)
    for run in runs:
        one, other = (load_run(each.root, run.name) for each in (there, here))
        assert one.step == other.step == there.dropped().get(run.name, 200)
        for leaf, same in zip(jax.tree.leaves(one.state), jax.tree.leaves(other.state), strict=True):
            np.testing.assert_allclose(leaf, same, rtol=2e-4, atol=2e-5)


def test_what_ray_cannot_spread_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="--shard: 0/2 cannot be one of several with --engine=ray"):
        ray_cluster.train_all(Job(Workdir(tmp_path), BASE, [], shard=Shard(0, 2)))
    done = tiny.command("train", "quickstart", "--engine=ray", "--track=wandb", f"--workdir={tmp_path}")
    assert done.returncode == 2 and "--track: follows runs of this process" in done.stderr

"""Two processes of two devices each on this machine, against one process of four; neither outlives the other."""

import signal
import socket
import time

import numpy as np
import pytest

from scaledis.core.errors import UserError
from scaledis.training.load import load_results, load_run
from scaledis.workdir.checkpoint import Checkpoints
from scaledis.workdir.layout import Workdir
from scaledis.workdir.log import read_records
from tests import assert_same, processes

pytestmark = pytest.mark.usefixtures("linear_method")
LINE = ["--config.train.steps=30", "--config.train.parallel=4", "--config.train.learning_rate=1e-3", "--sweep=seeds:5"]
LINE += ["--config.train.keep_best=loss_nats:min"]
LINE += ["--config.evaluate.metrics=mig", "--stages=train,evaluate"]


def start_two(folder, *more, heartbeat=25):
    """Both processes of one command, and the files of what they say."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    outputs = [folder.with_name(f"{folder.name}.{process}.txt") for process in (0, 1)]
    line = [*LINE, "--stages=train,evaluate,report", f"--workdir={folder}"]
    line += [f"--coordinator={address}", "--processes=2", *more]
    started = [
        processes.start(*line, f"--process={process}", output=outputs[process], heartbeat=heartbeat, devices=2)
        for process in (0, 1)
    ]
    return started, outputs


def wait_for(both, seconds=90):
    """The exit code of each process; None for one that had to be killed."""
    for process in both:
        process.join(seconds)
    codes = [process.exitcode for process in both]
    for process in both:
        process.kill()
    return codes


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What one process makes of the command."""
    folder = tmp_path_factory.mktemp("whole") / "one"
    alone = processes.start(*LINE, f"--workdir={folder}", output=folder.with_name("one.txt"), devices=4)
    assert wait_for([alone]) == [0], folder.with_name("one.txt").read_text()
    return folder


def assert_equal(folder, whole):
    """Bit for bit where each device holds the same run, that is but for the fifth run, which is alone."""
    assert sorted(load_results(folder)["run"]) == [f"seed={seed}" for seed in range(5)]
    for seed in range(5):
        name = f"seed={seed}"
        one, other = load_run(folder, name), load_run(whole, name)
        assert one.step == other.step == 30
        assert_same(one.state, other.state)
        one, other = load_run(folder, name, step="best"), load_run(whole, name, step="best")
        assert one.step == other.step
        assert_same(one.state, other.state)
        logs = [read_records(Workdir(each).run(name) / "metrics.jsonl") for each in (folder, whole)]
        assert logs[0] == logs[1] and [record["step"] for record in logs[0]] == list(range(2, 31, 2))
    tables = [load_results(each) for each in (folder, whole)]
    np.testing.assert_array_equal(tables[0]["mig/mig"], tables[1]["mig/mig"])
    assert len(list((folder / "results").iterdir())) == 2


def test_two_processes_make_what_one_makes_also_where_one_was_killed(whole, tmp_path):
    folder = tmp_path / "two"
    both, outputs = start_two(folder, heartbeat=3)
    while not (steps := Checkpoints(Workdir(folder).checkpoints(0)).steps) or steps[-1] < 6:
        assert all(process.is_alive() for process in both), [output.read_text() for output in outputs]
        time.sleep(0.01)
    both[1].kill()
    survivor, killed = wait_for(both, 60)
    assert killed == -signal.SIGKILL and survivor not in (0, None), outputs[0].read_text()
    assert Checkpoints(Workdir(folder).checkpoints(0)).newest < 30, "the processes ended before one could be killed"

    both, outputs = start_two(folder)
    assert wait_for(both) == [0, 0], [output.read_text() for output in outputs]
    assert f"`scaledis report --workdir={folder}` reports all parts" in outputs[0].read_text()
    assert_equal(folder, whole)


def test_an_error_of_the_first_process_is_one_sentence_and_the_other_one_ends_too(whole):
    both, outputs = start_two(whole, "--config.train.batch=9", heartbeat=3)
    failed, other = wait_for(both, 60)
    assert failed == 2 and other not in (0, None), outputs[1].read_text()
    assert "holds another run named 'seed=0': train.batch is 8 there and 9 here" in outputs[0].read_text()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--distributed"], "--distributed: JAX finds no cluster .*; give --coordinator=host:port, --processes=n"),
        (["--coordinator=a:1"], "--processes: missing; give --coordinator=host:port, --processes=n and --process=i"),
        (["--coordinator=a", "--processes=2", "--process=0"], "--coordinator: 'a' must be host:port"),
        (["--coordinator=a:1", "--processes=2", "--process=2"], "--process: 2 must be from 0 to 1"),
    ],
)
def test_a_cluster_that_cannot_be_is_one_sentence(flags, message, tmp_path):
    done = processes.start(*LINE, f"--workdir={tmp_path / 'none'}", *flags, output=tmp_path / "said.txt")
    assert wait_for([done]) == [2]
    with pytest.raises(UserError, match=message):
        raise UserError((tmp_path / "said.txt").read_text())

"""The papers' own sweeps, as configs/ has them."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from scaledis.core.errors import UserError
from scaledis.methods.pro_vlae import STAGES, presence_of
from scaledis.sweeps import plan, starts
from scaledis.sweeps.configs import freeze
from scaledis.sweeps.expand import expand as expanded

CONFIGS = Path(__file__).parents[1] / "configs"


def expand(name, *sweeps, tier="small"):
    """The runs of sweeps of a file in configs/."""
    namespace = runpy.run_path(str(CONFIGS / f"{name}.py"))
    return expanded(namespace["get_config"](tier).to_dict(), sweeps, namespace)


@pytest.mark.parametrize("tier", ["small", "paper"])
@pytest.mark.parametrize(
    ("name", "runs", "most_programs"),
    [("table1", 45, 8), ("table2", 90, 3), ("figure1", 20, 1), ("granularity", 360, 3)],
)
def test_a_paper_sweep_has_its_runs_in_few_programs(name, runs, most_programs, tier):
    found = expand(name, name, tier=tier)
    assert len(found) == runs and len(plan.programs(found)) <= most_programs
    assert {run.config.train.steps for run in found} == {5000 if tier == "small" else 300_000}
    assert {run.config.seed for run in found} == set(range(5))


def test_table_1_has_every_method_of_the_paper_with_its_own_settings():
    by_method = {run.config.method.name: run.config for run in expand("table1", "table1")}
    assert len(by_method) == 9
    assert by_method["dava"].train.batch == 128 and by_method["beta_vae"].objective.likelihood == "bernoulli"
    assert by_method["vlae"].objective.likelihood == "gaussian" and by_method["vlae"].train.learning_rate == 1e-3


def test_table_2_crosses_allocations_methods_and_seeds():
    cells = {
        (run.config.model.allocation, run.config.method.name, run.config.seed) for run in expand("table2", "table2")
    }
    assert len(cells) == 90 and {sum(allocation) for allocation, _, _ in cells} == {10}
    assert len({allocation for allocation, _, _ in cells}) == 9


def test_figure_1_has_four_objectives_on_three_levels():
    runs = expand("figure1", "figure1")
    given = {(run.config.method.name, *run.config.method.hyperparameters.values()) for run in runs}
    assert given == {("vlae",), ("scale_vlae", 8, 0, 0), ("scale_vlae", 1, 3, 0), ("scale_vlae", 8, 3, 0)}
    assert {run.config.model.allocation for run in runs} == {(3, 3, 3)}


def test_granularities_betas_and_seeds_at_one_capacity_are_one_program():
    runs = expand("granularity", "blocks", "betas", "seeds")
    assert len(runs) == 60 and len(plan.programs(runs)) == 1


@pytest.mark.parametrize("tier", ["small", "paper"])
def test_the_starts_of_few_first_end_where_the_top_is_no_longer_alone(tier):
    run, *others = expand("few_first", tier=tier)
    assert len(others) == 2 and {rung.step for rung in starts.rungs_of(run.config.train)} == {
        run.config.train.steps // 5
    }
    steps, top = run.config.train.steps, presence_of(run.config)
    values = {key: np.float32(value) for key, value in run.config.method.hyperparameters.items() if key in STAGES}
    assert steps == 8 * {"small": 5000, "paper": 300_000}[tier]
    np.testing.assert_array_equal(top(values, np.int32(steps // 5 - 1)), [1, 0, 0, 0])
    assert (top(values, np.int32(steps // 5)) > 0).sum() == 2 and (top(values, np.int32(steps - 1)) == 1).all()


def test_few_first_at_another_length_has_stages_of_that_length_or_is_refused():
    get_config = runpy.run_path(str(CONFIGS / "few_first.py"))["get_config"]
    short = freeze(get_config("small,4000"))
    assert short.train.steps == 4000 and short.schedule.precision == "warmup:800:0.25"
    assert [short.method.hyperparameters[name] for name in ("alone", "stage")] == [800, 100]
    assert get_config("small,40000").to_dict() == get_config().to_dict()
    usual = get_config()
    usual.train.steps = 4000
    with pytest.raises(UserError, match="method.alone: 8000.0, .* until step 12500, but train.steps is 4000"):
        freeze(usual)
    with pytest.raises(UserError, match="few_first: 'long' must be a number of steps"):
        get_config("small,long")

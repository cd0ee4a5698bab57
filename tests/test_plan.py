"""What trains together: programs, and their cut into populations."""

import functools

import chex
import pytest

from scaledis.networks import sizing
from scaledis.sweeps import plan
from scaledis.sweeps.expand import expand
from scaledis.training import population, steps
from tests import tiny

DATASET = tiny.dataset()


def test_runs_that_share_a_program_are_planned_together():
    runs = expand(tiny.plain(model__allocation=(4, 2, 2, 2), train__parallel=2), ["allocations"])
    planned = plan.populations(runs)
    assert [len(group) for group in planned] == [2, 1, 2, 1, 2, 1]
    assert names(planned) == [run.name for run in runs]
    allocations = {(run.padded, len(group)) for group in planned for run in group}
    assert allocations == {(each, n) for each in [(6, 6), (4, 4, 4), (4, 3, 2, 2)] for n in (1, 2)}


def test_every_population_has_the_size_that_its_own_runs_ask_for():
    runs = expand(tiny.plain(), ["train.parallel=1,3", "seeds:3"])
    assert [len(group) for group in plan.populations(runs)] == [1, 1, 1, 3]


def test_runs_of_interleaved_methods_keep_their_order_in_a_population():
    runs = expand(tiny.plain(train__parallel=9), ["seeds:2", "method.name=vlae,scale_vlae"])
    assert names(plan.populations(runs)) == ["seed=0,vlae", "seed=0,scale_vlae", "seed=1,vlae", "seed=1,scale_vlae"]
    assert len(plan.populations(runs)) == 1
    assert len(plan.programs(runs)) == 1


def names(groups):
    return [run.name for group in groups for run in group]


def lower(runs, count, monkeypatch):
    """Lowers the steps of all populations of the runs; chex counts how often a step is traced for that."""
    compiled = steps._compiled
    counted = chex.assert_max_traces(lambda function, *args: function(*args), n=count)

    def counting(function, *args, **options):
        return compiled(functools.partial(counted, function), *args, **options)

    monkeypatch.setattr(steps, "_compiled", counting)
    for cached in (population.make_program, steps._make_stretch):
        cached.cache_clear()
    for group in plan.populations(runs):
        configs, allocation = [run.config for run in group], group[0].padded
        runs = tiny.population(configs, DATASET, allocation=allocation)
        runs.make_advance(DATASET).lower(runs.shapes)


def test_what_only_changes_numbers_is_traced_once(monkeypatch):
    chex.clear_trace_counter()
    given = {
        "seed": (0, 1),
        "method.beta": (8.0, (2.0, 3.0)),
        "method.gamma": (3.0, 0.0),
        "method.alpha": (0.0, 0.5),
        "train.learning_rate": (1e-3, 1e-4),
        "objective.sigma": (0.5, 0.1),
        "objective.kl_warmup": (0.0, 100.0),
        "model.allocation": ((2, 1), (1, 3)),
        "model.parameters": (6000, 9000),
    }
    first, second = ({key: values[index] for key, values in given.items()} for index in (0, 1))
    one_each = [first, second, *(first | {key: values[1]} for key, values in given.items())]
    one_each += [{"method.name": "vlae", "seed": 2}]
    runs = expand(tiny.plain(train__parallel=99), ["mine"], {"sweep_mine": lambda: one_each})
    lower(runs, 1, monkeypatch)


def test_blocks_betas_and_seeds_are_traced_once(monkeypatch):
    chex.clear_trace_counter()
    base = tiny.plain(method__name="beta_stcvae", model__latents=4, train__parallel=99)
    lower(expand(base, ["method.block=1,2,4", "method.beta=2,5", "seeds:2"]), 1, monkeypatch)


def test_table_2_is_traced_three_times_in_however_many_populations(monkeypatch):
    chex.clear_trace_counter()
    base = tiny.plain(model__allocation=(4, 2, 2, 2), model__parameters=20_000, train__parallel=2)
    table2 = expand(base, ["allocations", "method.name=vlae,scale_vlae", "seeds:5"])
    assert len(table2) == 90 and len(plan.programs(table2)) == 3
    runs = [run for run in table2 if run.config.seed == 0]
    assert len(plan.populations(runs)) == 9
    lower(runs, 3, monkeypatch)
    with pytest.raises(AssertionError, match="traced"):
        lower(runs[:1], 3, monkeypatch)


def test_capacities_share_a_program_unless_padding_wastes_more_than_a_third():
    """At 16x16 with one channel the dense layers do the work."""
    thin = tiny.plain(data__resolution=16, model__channels=(1, 1, 1, 1), train__parallel=9)
    runs = expand(thin, ["model.parameters=6000,100000,9000,60000"])
    assert [[run.config.model.parameters for run in group] for group in plan.populations(runs)] == [
        [100000, 60000],
        [9000, 6000],
    ]
    for group in plan.programs(runs):
        costs = [sizing.arithmetic(run.config.model, (16, 16, 3)) for run in group]
        assert sum(costs) >= 2 / 3 * max(costs) * len(costs)
    costs = [sizing.arithmetic(run.config.model, (16, 16, 3)) for run in runs]
    assert sum(costs) < 2 / 3 * max(costs) * len(costs)  # all of them in one would not do


def test_all_capacities_share_a_program_where_the_convolutions_do_the_work():
    channels = {"model__channels": (32, 32, 64, 64), "train__parallel": 9}
    runs = expand(tiny.plain(**channels), ["model.parameters=300000,600000,1200000"])
    assert len(plan.programs(runs)) == 1


@pytest.mark.parametrize(
    ("method", "sizes"), [("nvae", [1, 1]), ("scale_vlae", [2]), ("factor_vae", [2]), ("beta_vae", [2])]
)
def test_a_network_that_cannot_be_widened_is_a_program_of_its_own(method, sizes):
    runs = expand(tiny.plain(method__name=method), ["model.parameters=8000,9000"])
    assert [len(group) for group in plan.programs(runs)] == sizes


def test_the_papers_own_size_is_padded_by_none():
    """Its width is stated, not found from a number of parameters."""
    runs = expand(tiny.plain(), ["model.parameters=0,9000"])
    assert [len(group) for group in plan.programs(runs)] == [1, 1]

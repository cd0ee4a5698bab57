"""Ways to choose settings and seeds, on made-up tables where the right answer is known."""

import numpy as np
import pytest

from experiments import replay, strategies
from experiments.replay import Arm, Ledger, Table, outcome, replayed

STEPS = np.array([1, 2, 3, 4, 8])


def table(settings=16, seeds=5, noise=0.0, dead=0.0):
    """Settings of equal distance, the last one the best from its first step on; a share `dead` of the runs diverges."""
    rng = np.random.default_rng(0)
    level = np.linspace(0.1, 0.9, settings)[:, None, None]
    score = level + noise * rng.normal(size=(settings, seeds, len(STEPS)))
    dci = np.where(rng.random((settings, seeds, 1)) < dead, np.nan, score)
    final = {"DCI-D": score[..., -1], "MIG": score[..., -1] / 2}
    pairs = np.broadcast_to(level, (settings, seeds, seeds)).copy()
    return Table(STEPS, {"DCI-D": dci, "ELBO": -dci, "R": dci}, final, pairs, level[:, 0])


def kept(way, known, budget, seed=0):
    ledger = Ledger(known, budget * int(STEPS[-1]))
    return way(ledger, np.random.default_rng(seed)), ledger


def test_a_ledger_charges_each_step_once_and_never_more_than_its_budget():
    ledger = Ledger(table(), 20)
    ledger.advance([(0, 0), (1, 0)], 1)
    assert ledger.spent == 4
    ledger.advance([(0, 0)], -1)
    ledger.advance([(0, 0)], 0)  # it is behind
    assert ledger.spent == 10 and ledger.seen("ELBO", (0, 0)) == pytest.approx(-0.1)
    with pytest.raises(ValueError, match="26 steps of 20"):
        ledger.advance([(3, 0), (4, 0)], 4)


@pytest.mark.parametrize("arm", strategies.ARMS, ids=lambda arm: arm.title)
@pytest.mark.parametrize("seeds", [2, 5])
def test_no_way_trains_more_than_its_budget_or_keeps_a_run_that_it_has_not_trained(arm, seeds):
    if "TPE" in arm.title:
        pytest.importorskip("optuna")
    known = table(32, seeds, noise=0.3, dead=0.1)
    for seed in range(3):
        run, ledger = kept(arm.way, known, arm.budget, seed)
        assert 0 < ledger.spent <= ledger.budget and ledger.reached[run] == ledger.end


def test_halving_finds_the_best_of_what_it_begins_with_and_begins_with_what_the_budget_pays():
    for eta, rungs in ((2, (0, 1, 3)), (3, (0, 2))):
        run, ledger = kept(strategies.make_halving(eta, rungs, "DCI-D"), table(), 8)
        assert run[0] == 15 and {setting for setting, _ in ledger.reached} == set(range(16))
    # 24 runs for a step, 12 for one more, 6 for two more, 3 for the last four; 25 would be 25 + 13 + 14 + 16 of 64
    run, ledger = kept(strategies.make_halving(2, (0, 1, 3), "DCI-D"), table(), 8)
    assert (len(ledger.reached), ledger.spent) == (24, 24 + 12 + 12 + 12)
    assert [sum(rung >= at for rung in ledger.reached.values()) for at in (0, 1, 3, 4)] == [24, 12, 6, 3]
    run, _ = kept(strategies.make_halving(2, (0, 1, 3), "ELBO"), table(), 8)
    assert run[0] == 0  # the ELBO of this table is the wrong way round
    backward = table()._replace(seen={"DCI-D": table().seen["DCI-D"] * [-1, -1, -1, -1, 1]})
    run, _ = kept(strategies.make_halving(2, (0, 1, 3), "DCI-D"), backward, 8)
    assert run[0] < 4  # whoever is the best at last was dropped


def test_several_seeds_choose_the_best_mean_and_no_setting_with_a_run_that_diverged():
    dci = np.repeat([[[0.9], [0.1], [0.2]], [[0.5], [0.6], [0.7]], [[0.8], [0.9], [np.nan]]], len(STEPS), axis=2)
    known = table(3, 3)._replace(seen={"DCI-D": dci})
    assert kept(strategies.make_several(3, "DCI-D"), known, 9)[0] == (1, 2)
    assert kept(strategies.make_several(3, "DCI-D"), known, 8)[1].spent == 2 * 3 * STEPS[-1]
    one, ledger = kept(strategies.make_several(1, "DCI-D"), table(), 16)
    assert one[0] == 15 and len(ledger.reached) == 16


def test_starts_are_halved_within_their_setting_by_one_rule_after_the_other():
    elbo = np.array([[3.0, 9.0, 5.0, 8.0, 1.0]])
    r = np.array([[-9.0, -1.0, -8.0, -2.0, -9.0]])
    seen = {name: np.repeat(each[..., None], len(STEPS), axis=2) for name, each in {"ELBO": elbo, "R": r}.items()}
    known = table(1)._replace(seen=seen | {"DCI-D": seen["ELBO"]})
    for rules, best in {(((1, "ELBO"),)): 1, ((2, "ELBO"), (1, "R")): 3, ((3, "ELBO"), (1, "R")): 2}.items():
        run, ledger = kept(strategies.make_starts(5, 1, rules, settings=1), known, 2)
        assert run == (0, best) and ledger.spent == 5 * 2 + 6
    across, ledger = kept(strategies.make_starts(5, 1, ((1, "ELBO"),)), table(), 24)
    assert len({setting for setting, _ in ledger.reached}) == 24 * 8 // 16  # settings, at two runs each
    assert across[0] == max(setting for setting, _ in ledger.reached)


def test_udr_keeps_the_setting_that_agrees_and_its_most_typical_run():
    pairs = np.full((2, 3, 3), 0.4)
    pairs[1] = [[np.nan, 0.9, 0.8], [0.9, np.nan, 0.3], [0.8, 0.3, np.nan]]
    assert strategies.agreements(pairs[1], [0, 1, 2]) == pytest.approx([0.85, 0.6, 0.55])
    assert strategies.agreements(pairs[1], [2, 1]) == pytest.approx([0.3, 0.3])
    assert kept(strategies.make_udr(3), table(2, 3)._replace(pairs=pairs), 6)[0] == (1, 0)


def test_tpe_tries_as_many_settings_as_it_can_pay_and_goes_where_it_was_better():
    pytest.importorskip("optuna")
    known = table(64, 2)
    tried = [kept(strategies.tpe, known, 24, seed)[1].reached for seed in range(5)]
    late = [[setting for setting, _ in each][12:] for each in tried]
    assert all(len({setting for setting, _ in each}) == 24 for each in tried)
    assert np.mean(late) > 40  # at random it is 31.5
    run, ledger = kept(strategies.tpe, known, 24)
    assert run[0] == max(setting for setting, _ in ledger.reached)


def test_the_other_seeds_are_those_that_were_not_looked_at():
    final = {"DCI-D": np.array([[0.1, 0.2, 0.6]])}
    for looked, other in (([0], 0.4), ([0, 1], 0.6), ([0, 1, 2], 0.4)):

        def way(ledger, rng, looked=looked):
            ledger.advance([(0, seed) for seed in looked], -1)
            return 0, 0

        found = outcome(table(1, 3)._replace(final=final), Arm("", way, 3, False), np.random.default_rng(0))
        assert found["DCI-D, kept"] == 0.1 and found["DCI-D, other"] == pytest.approx(other)
        assert found["spent"] == len(looked) * STEPS[-1]


def test_replays_give_means_with_the_standard_error_of_the_settings_and_differences_to_the_first(monkeypatch):
    monkeypatch.setattr(replay, "REPLAYS", 400)
    monkeypatch.setattr(replay, "HALVES", 60)
    arms = [
        Arm("all", strategies.make_several(1, "DCI-D"), 16, True),
        Arm("random", strategies.at_random, 16, False),
        Arm("alone", strategies.at_random, 1, False),
    ]
    found = replayed(table(), arms)
    assert found["all"]["DCI-D, kept"].mean == pytest.approx(0.9) and found["all"]["MIG, kept"].mean == pytest.approx(
        0.45
    )
    assert found["all"]["DCI-D, kept"].range == pytest.approx((0.9, 0.9))
    assert found["random"]["DCI-D, kept"].mean == pytest.approx(0.5, abs=0.05)
    gap = found["random"]["DCI-D, kept, difference"].mean
    assert gap == pytest.approx(found["random"]["DCI-D, kept"].mean - 0.9)
    assert found["alone"]["DCI-D, kept, difference"][:2] == (0, 0)  # the first of its budget
    for way, name in (("all", ""), ("all", ", difference"), ("random", ", difference")):
        assert np.isnan(found[way][f"DCI-D, kept{name}"].half)  # a half has 8 settings, and "all" takes 16
    assert found["all"]["spent"].mean == 16 * STEPS[-1] and found["alone"]["spent"].mean == STEPS[-1]
    # A half has a mean of variance s^2 / 16, and 25 replays of it add s^2 / 25.
    deviation = np.std(np.linspace(0.1, 0.9, 16), ddof=1)
    expected = 1.96 * deviation * (1 / 16 + 1 / 25) ** 0.5
    assert found["random"]["DCI-D, kept"].half == pytest.approx(expected, rel=0.3)
    assert replayed(table(), arms[1:]) == replayed(table(), arms[1:])

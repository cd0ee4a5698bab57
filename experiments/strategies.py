"""Ways to choose settings and seeds under a budget of steps, and the lines of experiments/search.py's table.

A way trains runs of a Ledger and returns the one that it keeps. Halving: Jamieson and Talwalkar 2016; TPE: Bergstra et
al. 2011, by optuna; UDR: Duan et al. 2020.
"""

from collections.abc import Sequence

import numpy as np

from experiments.replay import Arm, Kept, Ledger, Way


def drawn(ledger: Ledger, rng: np.random.Generator, settings: int, seeds: int) -> list[list[Kept]]:
    """Runs of settings at random, each at some of its seeds at random."""
    chosen = rng.permutation(ledger.settings)[:settings]
    return [[(int(each), int(seed)) for seed in rng.permutation(ledger.seeds)[:seeds]] for each in chosen]


def at_random(ledger: Ledger, rng: np.random.Generator) -> Kept:
    """One run, without a choice."""
    [[run]] = drawn(ledger, rng, 1, 1)
    ledger.advance([run], ledger.end)
    return run


def make_several(seeds: int, by: str) -> Way:
    """As many settings as can be paid, at so many seeds each; the best run of the best mean is kept."""

    def way(ledger: Ledger, rng: np.random.Generator) -> Kept:
        of = min(seeds, ledger.seeds)
        groups = drawn(ledger, rng, ledger.whole(of), of)
        ledger.advance([run for group in groups for run in group], ledger.end)
        means = [float(np.mean([ledger.seen(by, run) for run in group])) for group in groups]
        return ledger.best(by, groups[best_of(means)], 1)[0]

    return way


def best_of(values: Sequence[float] | np.ndarray) -> int:
    """The place of the largest value; NaN loses."""
    return int(np.argsort(-np.asarray(values, float), kind="stable")[0])


def make_halving(eta: int, rungs: Sequence[int], by: str, at_end: str = "") -> Way:
    """Successive halving: the best one of eta goes on at each rung, and the best at the end is kept.

    It begins with all runs that the budget pays: settings at random, and if there are too few a second seed of each.
    """

    def cost(count: int, steps: np.ndarray) -> int:
        total, before = 0, 0
        for rung in (*rungs, -1):
            total, before = total + count * int(steps[rung] - before), int(steps[rung])
            count = -(-count // eta)
        return total

    def way(ledger: Ledger, rng: np.random.Generator) -> Kept:
        steps = ledger.table.steps
        groups = drawn(ledger, rng, ledger.settings, ledger.seeds)
        runs = [group[seed] for seed in range(ledger.seeds) for group in groups]
        runs = runs[: next(count for count in range(len(runs), 0, -1) if cost(count, steps) <= ledger.budget)]
        for rung in rungs:
            ledger.advance(runs, rung)
            runs = ledger.best(by, runs, -(-len(runs) // eta))
        ledger.advance(runs, ledger.end)
        return ledger.best(at_end or by, runs, 1)[0]

    return way


def make_starts(starts: int, rung: int, rules: Sequence[tuple[int, str]], settings: int = 0, by: str = "DCI-D") -> Way:
    """Starts of a setting that are halved among themselves at a rung; of several settings the best end is kept.

    rules: (starts that go on, by what), one after the other; as train.rungs.
    settings: 0 for as many as can be paid.
    """

    def way(ledger: Ledger, rng: np.random.Generator) -> Kept:
        of, steps = min(starts, ledger.seeds), ledger.table.steps
        left = min(rules[-1][0], of)
        one = of * int(steps[rung]) + left * int(steps[-1] - steps[rung])
        ends = []
        for group in drawn(ledger, rng, settings or ledger.budget // one, of):
            ledger.advance(group, rung)
            for count, rule in rules:
                group = ledger.best(rule, group, count)
            ledger.advance(group, ledger.end)
            ends += group
        return ledger.best(by, ends, 1)[0]

    return way


def make_udr(seeds: int) -> Way:
    """The setting whose seeds agree most, and of it the run that agrees most with the others."""

    def way(ledger: Ledger, rng: np.random.Generator) -> Kept:
        of = min(seeds, ledger.seeds)
        groups = drawn(ledger, rng, ledger.whole(of), of)
        ledger.advance([run for group in groups for run in group], ledger.end)
        own = [agreements(ledger.table.pairs[group[0][0]], [seed for _, seed in group]) for group in groups]
        place = best_of([each.mean() for each in own])
        return groups[place][best_of(own[place])]

    return way


def agreements(pairs: np.ndarray, seeds: Sequence[int]) -> np.ndarray:
    """UDR of each seed: the median over the others of its pairs [N, N]."""
    return np.array([np.median([pairs[seed, other] for other in seeds if other != seed]) for seed in seeds])


def tpe(ledger: Ledger, rng: np.random.Generator) -> Kept:
    """TPE on DCI-D, one seed a setting: what it asks for is taken at the nearest setting that it has not tried."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    count, points = ledger.whole(1), ledger.table.points
    sampler = optuna.samplers.TPESampler(n_startup_trials=max(2, count // 3), seed=int(rng.integers(2**31)))
    study = optuna.create_study(direction="maximize", sampler=sampler)
    unit: optuna.distributions.BaseDistribution = optuna.distributions.FloatDistribution(0.0, 1.0)
    axes = {f"x{axis}": unit for axis in range(points.shape[1])}
    tried: list[Kept] = []
    for _ in range(min(count, len(points))):
        asked = study.ask(axes)
        study.tell(asked, state=optuna.trial.TrialState.FAIL)  # another point is trained in its place
        far = ((points - list(asked.params.values())) ** 2).sum(1)
        far[[setting for setting, _ in tried]] = np.inf
        run = (int(far.argmin()), int(rng.integers(ledger.seeds)))
        ledger.advance([run], ledger.end)
        tried.append(run)
        value = ledger.seen("DCI-D", run)
        params = dict(zip(axes, map(float, points[run[0]]), strict=True))
        study.add_trial(
            optuna.trial.create_trial(params=params, distributions=axes, value=0.0 if np.isnan(value) else value)
        )
    return ledger.best("DCI-D", tried, 1)[0]


def arms_of(budget: int, agreeing: int) -> list[Arm]:
    """The ways to spend so many runs; the first is today's protocol. `agreeing`: the seeds of which UDR is taken."""
    few, halves, thirds = f"{budget} runs: ", (0, 1, 3), (0, 2)
    starts = make_starts(5, 1, ((1, "ELBO"),))
    return [
        Arm(few + "one seed a setting, the best DCI-D", make_several(1, "DCI-D"), budget, True),
        Arm(few + "three seeds a setting, the best mean DCI-D", make_several(3, "DCI-D"), budget, True, "other"),
        Arm(few + "halving by DCI-D, a half goes on", make_halving(2, halves, "DCI-D"), budget, True, "other"),
        Arm(few + "halving by DCI-D, a third goes on", make_halving(3, thirds, "DCI-D"), budget, True),
        Arm(few + "TPE on DCI-D", tpe, budget, True, "other"),
        Arm(few + "five starts a setting halved by ELBO, the best DCI-D", starts, budget, True, "other"),
        Arm(few + "halving by ELBO, the best DCI-D at the end", make_halving(2, halves, "ELBO", "DCI-D"), budget, True),
        Arm(few + "one seed a setting, the best ELBO", make_several(1, "ELBO"), budget, False),
        Arm(few + "halving by ELBO", make_halving(2, halves, "ELBO"), budget, False),
        Arm(few + f"{agreeing} seeds a setting, the best UDR", make_udr(agreeing), budget, False, "other"),
        Arm(few + "one run at random", at_random, budget, False),
    ]


def seeds_of_one() -> list[Arm]:
    """The ways to spend two runs on a setting that is given."""
    few = "one setting: "
    rung = 1  # five starts up to a quarter of the steps and one of them to the end are two runs

    def starts(*rules: tuple[int, str]) -> Way:
        return make_starts(5, rung, rules, settings=1)

    return [
        Arm(few + "one seed", at_random, 2, False),
        Arm(few + "two seeds, the best ELBO", make_starts(2, -1, ((1, "ELBO"),), 1), 2, False),
        Arm(few + "five starts halved by ELBO", starts((1, "ELBO")), 2, False, "kept"),
        Arm(few + "five starts halved by R", starts((1, "R")), 2, False),
        Arm(few + "five starts halved by ELBO, then R", starts((2, "ELBO"), (1, "R")), 2, False, "kept"),
        Arm(few + "five starts halved by DCI-D", starts((1, "DCI-D")), 2, True),
        Arm(few + "two seeds, the best DCI-D", make_starts(2, -1, ((1, "DCI-D"),), 1), 2, True),
    ]


ARMS = (*seeds_of_one(), *arms_of(8, 2), *arms_of(24, 3))

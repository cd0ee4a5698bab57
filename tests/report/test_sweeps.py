"""Pictures of a sweep: which keys are swept, means and bands over one, rings over two."""

import numpy as np

from scaledis.core import statistics
from scaledis.report import page
from scaledis.report.pictures import sweeps
from scaledis.report.pictures.canvas import png
from scaledis.types import Run
from tests import tiny
from tests.report import material


def runs_of(*settings):
    return [Run(f"run{n}", tiny.config(**setting)) for n, setting in enumerate(settings)]


def summaries(runs, score):
    """Their summaries, with the MIG and the ELBO that `score` makes of a run's config."""
    return [
        material.summary(run.name, run.config.seed, name=run.name, scores={"MIG": score(run.config)})._replace(
            records=[{"step": n, "elbo_nats": -999.0 if n < 96 else -score(run.config)} for n in range(1, 101)]
        )
        for run in runs
    ]


def test_swept_keys_are_those_that_no_other_key_determines():
    runs = runs_of(
        *(
            {"seed": seed, "method__name": "vlae", "model__allocation": allocation, "train__batch": batch}
            | {"train__log_every": batch // 4}
            for seed in (0, 1)
            for allocation in ((2, 1), (1, 2), (1, 1))
            for batch in (8, 4)
        )
    )
    across, down = sweeps.swept(runs)
    assert (across.key, across.values) == ("model.allocation", [(2, 1), (1, 2), (1, 1)])
    assert (down.key, down.values) == ("train.batch", [4, 8])  # log_every follows from it
    assert across.place["run2"] == 1 and down.place["run0"] == 1
    assert sweeps.swept(runs_of({"seed": 0}, {"seed": 1})) == []


def test_one_key_has_a_line_with_the_interval_over_seeds():
    runs = runs_of(*({"seed": seed, "train__batch": batch} for batch in (4, 8, 16) for seed in (0, 1, 2)))
    score = lambda config: config.train.batch / 100 + 0.01 * config.seed  # noqa: E731
    figure = sweeps.figure(runs, summaries(runs, score))
    elbo, mig = figure.axes
    assert [spot.get_title(loc="left") for spot in figure.axes] == [sweeps.ELBO, "MIG"]
    np.testing.assert_allclose(mig.lines[0].get_ydata(), [0.05, 0.09, 0.17])
    np.testing.assert_allclose(elbo.lines[0].get_ydata(), [-0.05, -0.09, -0.17])  # of the last steps alone
    low, high = statistics.interval([0.04, 0.05, 0.06])
    heights = mig.collections[0].get_paths()[0].vertices[:, 1]
    np.testing.assert_allclose([heights.min(), heights[heights < 0.075].max()], [low, high])
    assert [label.get_text() for label in mig.get_xticklabels()] == ["4", "8", "16"] and mig.get_xlabel() == "batch"


def test_a_run_that_diverged_is_in_no_mean():
    runs = runs_of(*({"seed": seed, "train__batch": batch} for batch in (4, 8) for seed in (0, 1)))
    first, *rest = summaries(runs, lambda config: config.train.batch / 100)
    lost = [{"step": n, "elbo_nats": -1e30 if n < 50 else None} for n in range(1, 101)]
    figure = sweeps.figure(runs, [first._replace(records=lost, diverged_at=50, scores={"MIG": 0.9}), *rest])
    assert [spot.get_title(loc="left") for spot in figure.axes] == [sweeps.ELBO, "MIG"]
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), [-0.04, -0.08])
    np.testing.assert_allclose(figure.axes[1].lines[0].get_ydata(), [0.04, 0.08])


def test_words_have_points_with_bars_and_nothing_between_them():
    runs = runs_of(*({"seed": seed, "method__name": name} for name in ("vlae", "beta_vae") for seed in (0, 1, 2)))
    [spot] = sweeps.figure(runs, summaries(runs, lambda config: 0.1 * (1 + config.seed))).axes[1:]
    assert spot.get_xlabel() == "method" and spot.lines[0].get_linestyle() == "None"
    assert [label.get_text() for label in spot.get_xticklabels()] == ["vlae", "beta_vae"]
    expected = statistics.interval([0.1, 0.2, 0.3])
    for bar, place in zip(spot.collections[0].get_segments(), (0, 1), strict=True):
        np.testing.assert_allclose(bar, [[place, expected[0]], [place, expected[1]]])


def test_two_keys_have_a_heat_map_whose_rings_draw_the_v():
    """The best granularity falls with the capacity, then rises."""
    best = {6000: 4, 7000: 2, 8000: 4}
    runs = runs_of(
        *(
            {"method__name": "beta_stcvae", "model__latents": 4, "model__parameters": size, "method__block": block}
            for size in best
            for block in (2, 4)
        )
    )

    def score(config):
        return 0.5 + 0.2 * (config.method.hyperparameters["block"] == best[config.model.parameters])

    known = summaries(runs, score)
    figure = sweeps.figure(runs, known)
    elbo, mig = figure.axes
    assert mig.get_xlabel() == "parameters" and mig.get_ylabel() == "block"
    assert [text.get_text() for text in mig.texts] == ["0.5", "0.7", "0.5", "0.7", "0.5", "0.7"]
    np.testing.assert_array_equal(mig.lines[0].get_xydata(), [[0, 1], [1, 0], [2, 1]])
    np.testing.assert_array_equal(elbo.lines[0].get_ydata(), [0, 1, 0])  # here less is better for the ELBO's sign
    missing = sweeps.figure(runs, known[:3])
    assert [text.get_text() for text in missing.axes[1].texts] == ["0.5", "0.7", "–", "0.7", "–", "–"]


def test_no_sweep_three_keys_and_no_scores_have_no_picture():
    one = runs_of({}, {"seed": 1})
    assert sweeps.figure(one, summaries(one, lambda config: 0.5)) is None
    runs = runs_of(
        *({"train__batch": b, "train__steps": s, "train__log_every": g} for b in (4, 5) for s in (2, 3) for g in (1, 2))
    )
    assert sweeps.figure(runs, summaries(runs, lambda config: 0.5)) is None
    pair = runs_of({"train__batch": 4}, {"train__batch": 8})
    assert sweeps.figure(pair, [each._replace(scores={}, records=()) for each in summaries(pair, lambda _: 0)]) is None


def test_an_undecided_start_is_no_seed():
    runs = runs_of({"train__batch": 4}, {"train__batch": 8}, {"train__batch": 8, "seed": 1})
    known = summaries(runs, lambda config: config.train.batch / 10 + config.seed)
    known[2] = known[2]._replace(undecided=True)
    np.testing.assert_allclose(sweeps.figure(runs, known).axes[1].lines[0].get_ydata(), [0.4, 0.8])


def test_the_picture_is_on_the_page():
    runs = runs_of({"train__batch": 4}, {"train__batch": 8})
    known = summaries(runs, lambda config: config.train.batch / 10)
    text = page.render("demo", known, swept=png(sweeps.figure(runs, known)))
    assert '<section id="sweep">' in text and 'src="data:image/png;base64,iVBOR' in text
    assert '<section id="sweep">' not in page.render("demo", known)

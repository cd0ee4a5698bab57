"""The picture of units over seeds: matched places, reversed units, and when there is none."""

import numpy as np

from scaledis.report import page
from scaledis.report.pictures import seeds
from scaledis.report.pictures.canvas import png
from tests.report import material

ORDERS, SIGNS = ([0, 1, 2], [2, 0, 1], [1, 2, 0]), (1, -1, 1)


def summaries(numbers=(0, 0, 0)):
    """Three seeds whose units are the same in another order and sign; a unit's traversal has its own gray ramp."""
    rng = np.random.default_rng(0)
    common, found = rng.standard_normal((400, 3)), []
    ramps = np.linspace(0, 1, 13) ** np.array([[1], [2], [4]])  # [units, steps]
    for seed, (order, sign, number) in enumerate(zip(ORDERS, SIGNS, numbers, strict=True)):
        means = sign * common[:, order] + 0.05 * rng.standard_normal((400, 3))
        moved = np.broadcast_to(ramps[order, ::sign, None, None, None], (3, 13, 8, 8, 1))
        known = {"allocation": (2, 1), "means": means, "numbers": np.arange(400) + number, "traversals": moved}
        found.append(material.summary("ours", seed, name=f"seed{seed}")._replace(**known))
    return found


def test_matched_units_stand_in_one_row_and_run_the_same_way():
    figure = seeds.figure(summaries())
    first, *others = [axes.images[0].get_array() for axes in figure.axes]
    assert len(others) == 2
    for other in others:
        np.testing.assert_array_equal(first, other)
    texts = [text for text in figure.axes[0].texts if text.get_text().startswith("agreement")]
    assert len(texts) == 3 and all(text.get_text() == "agreement 1.00" for text in texts)
    assert {text.get_weight() for text in texts} == {"bold"}


def test_seeds_that_agree_in_nothing_are_not_in_bold():
    rng, known = np.random.default_rng(1), summaries()
    noise = [run._replace(means=rng.standard_normal((400, 3))) for run in known]
    texts = [text for text in seeds.figure(noise).axes[0].texts if text.get_text().startswith("agreement")]
    assert len(texts) == 3 and {text.get_weight() for text in texts} == {"normal"}


def test_one_seed_other_images_and_runs_without_scores_have_no_picture():
    known = summaries()
    assert seeds.figure(known[:1]) is None
    assert seeds.figure(summaries(numbers=(0, 1, 2))) is None
    assert seeds.figure([run._replace(means=None) for run in known]) is None
    assert len(seeds.figure(summaries(numbers=(0, 1, 0))).axes) == 2


def test_the_page_has_its_section():
    known = summaries()
    text = page.render("demo", known, aligned=png(seeds.figure(known)))
    assert '<section id="seeds">' in text and 'src="data:image/png;base64,iVBOR' in text
    assert '<section id="seeds">' not in page.render("demo", known)

"""The page as a file: well-formed, self-contained, escaped, and small."""

import html.parser
import json
import re

import numpy as np
import pytest

from scaledis import report
from scaledis.report import page
from scaledis.report.summary import Summary
from tests.report import material

EVIL = "</script><!--<b onload='x'>&\"\u2028"


def parsed(text):
    """The JSON of a page, after a check that elements are closed, and addresses are data or pictures beside it."""
    opened = []
    void = ("meta", "img", "link", "input", "br")
    parser = html.parser.HTMLParser()
    parser.handle_starttag = lambda tag, _: opened.append(tag) if tag not in void else None
    parser.handle_endtag = lambda tag: opened.remove(tag) if opened[-1] == tag else pytest.fail(f"{tag} in {opened}")
    parser.feed(text)
    assert not opened
    assert text.count("</script>") == 2 and not re.search(
        r"""(?:src|href|url)\s*[=(]\s*["']?(?!data:|\$\{|\w+\.png")\w""", text
    )
    assert "default-src 'none'" in text
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])


def test_the_page_holds_all_runs_and_says_what_came_out():
    runs = material.sweep()
    text = page.render("demo", runs, facts={"Steps": "4,000"}, command="scaledis train", config={"seed": 0})
    found = parsed(text)
    assert [run["name"] for run in found["runs"]] == [run.name for run in runs]
    assert "scale_vlae has the highest DCI-D, 0.410, before beta_tcvae with 0.360." in text
    run = found["runs"][1]
    assert run["source"] == "rendered, 4,000 steps, seed 1" and run["frames"] == 13 and len(run["traversals"]) == 3
    assert [unit["dead"] for unit in run["units"]] == [False, True, False]
    assert all(each.startswith("data:image/webp;base64,") for each in run["traversals"])
    assert "seed = 0" in text and "<dt>Steps</dt><dd>4,000</dd>" in text


def test_scores_of_another_step_than_the_pictures_say_so():
    best = [material.summary(seed=seed, step=40_000, scored_step=4000 + 2000 * seed) for seed in (0, 1)]
    text, found = page.render("demo", best), page.data(best)
    assert "trained on rendered for 40,000 steps; DCI-D is 0.310 after 4,000, 6,000 steps." in text
    assert found["legend"].startswith("Data set: rendered, 4,000, 6,000 steps, seeds 0, 1.")
    run = found["runs"][1]
    assert run["source"] == "rendered, 40,000 steps, seed 1" and run["measured"] == "rendered, 6,000 steps, seed 1"
    assert run["mixed"] == "rendered, 40,000 steps, seed 1; measured after 6,000 steps"
    for name, figure in report.pictures(best).items():
        words = figure.texts[1].get_text()
        assert ("40,000 steps" in words) == (name not in ("mutual_information", "edits")), name
        assert ("4,000" in words) == (name in ("mutual_information", "edits", "traversals")), name
    same = page.data([material.summary(scored_step=4000)])["runs"][0]
    assert same["mixed"] == same["measured"] == same["source"] == "rendered, 4,000 steps, seed 0"


def test_the_page_says_how_selective_each_edit_is():
    changes = np.array([[0.9, 0.3, 0.0], [0.5, 0.5, 0.5], [0.0, 0.0, 0.6]])
    run = material.summary(changes=changes, edited=("floor_hue", None, "shape"))
    found = page.data([run])["runs"][0]["edits"]
    assert found["all"] == pytest.approx(1.5 / 1.8) and found["levels"] == pytest.approx([1, 0.75])
    assert found["units"][0]["next"] == ("wall_hue", 0.25) and found["units"][0]["own"] == 0.75
    assert found["units"][1] is None and found["units"][2] == {"factor": "shape", "own": 1, "next": None}
    still = page.data([run._replace(changes=0 * changes)])["runs"][0]["edits"]
    assert still["all"] is None and still["levels"] == [None, None] and still["units"][0]["next"] is None
    assert page.data([run._replace(changes=None)])["runs"][0]["edits"] is None


def test_whatever_it_is_given_is_text():
    runs = [material.summary(EVIL, factors=(EVIL, "b"), dataset=EVIL, scores={EVIL: 1.0}, diverged_at=1)]
    text = page.render(EVIL, runs, facts={EVIL: EVIL}, command=EVIL, config={EVIL: EVIL})
    found = parsed(text)
    assert "<b onload" not in text and "<!--<" not in text
    assert found["runs"][0]["setting"] == EVIL and found["runs"][0]["factors"] == [EVIL, "b"]


def test_curves_are_thinned_to_their_means_and_a_step_counts_once():
    records = [{"step": n, "loss_nats": float(n)} for n in range(1, 1001)]
    run = material.summary(records=[*records, {"step": 1000, "loss_nats": 0.0, "kl_nats": None}])
    curves = page.data([run])["runs"][0]["curves"]
    found = page.data([run, run._replace(records=[{**each, "loss_nats": 0.0} for each in run.records])])
    assert found["means"]["vlae"]["loss_nats"][0] == 2.0 and page.data([run])["means"] == {}
    assert len(curves["steps"]) == page.POINTS and curves["steps"][-1] == 1000 and "kl_nats" not in curves
    assert curves["loss_nats"][0] == 4.0 and curves["loss_nats"][-1] == pytest.approx(
        (995 + 996 + 997 + 998 + 999) / 6, 1e-3
    )


def test_sixteen_runs_of_noise_take_less_than_eight_megabytes():
    rng = np.random.default_rng(0)
    noise = rng.random((10, 13, 64, 64, 3), np.float32)
    runs = [
        material.summary(
            f"run{n}", n, 64, (4, 2, 2, 2), traversals=noise, samples=noise[:2, :10].reshape(20, 64, 64, 3)
        )
        for n in range(2)
    ]
    two = [page._run(run, ["loss_nats"], page.PICTURES // 16) for run in runs]
    rest = len(page.render("demo", [run._replace(traversals=None) for run in runs]))
    assert 16 * max(len(json.dumps(run)) for run in two) + rest < 8e6
    assert two[0]["traversals"]


@pytest.mark.parametrize(
    "runs",
    [
        [Summary("a", "vae", "celeba", allocation=(2,))],
        [Summary("a", "vae", allocation=(1, 1), records=[{"step": 1, "loss_nats": np.nan}], diverged_at=1)],
        [material.summary(kl=None, shares=None, factors=(), scores={}, levels={}, samples=None, changes=None)],
        [material.summary(shares=np.full((3, 3), np.nan))],
        [material.summary(scores={"MIG": np.nan})],
    ],
)
def test_what_is_not_known_is_left_out(runs):
    found = parsed(page.render("demo", runs))
    assert len(found["runs"]) == 1 and len(found["runs"][0]["units"]) == sum(runs[0].allocation)

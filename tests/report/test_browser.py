"""The page in a real browser, at the width of a desk and of a phone."""

import pytest

from scaledis.report import page
from tests import browser
from tests.report import material

EVIL = "<img src=x onerror=document.title='hit'></script><script>document.title='hit'</script>"


@pytest.fixture(scope="module")
def chromium():
    opened = browser.start()
    yield opened
    opened.quit()


@pytest.fixture(params=browser.WIDTHS)
def opened(request, chromium, tmp_path):
    """The page of a sweep, at one width."""
    path = tmp_path / "index.html"
    path.write_text(page.render("demo", material.sweep(), facts={"Steps": "4,000"}, command="scaledis train"))
    browser.resize(chromium, browser.WIDTHS[request.param])
    browser.requests(chromium), browser.errors(chromium)
    chromium.get(path.as_uri())
    yield chromium
    assert browser.errors(chromium) == []
    outside = [url for url in browser.requests(chromium) if not url.startswith(("data:", path.as_uri()))]
    assert outside == []


def find(chromium, selector):
    return chromium.find_elements("css selector", selector)


def column(chromium):
    """The settings in the order of the table."""
    return [each.text.split("\n")[0] for each in find(chromium, "#score-table tbody tr:first-child th")]


def test_nothing_scrolls_sideways_and_every_part_is_there(opened):
    assert opened.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    for part in ("#score-table table", ".ladder .unit", ".map td", ".edits .part", ".split div", ".panels path"):
        assert find(opened, part), part
    text = opened.find_element("tag name", "main").text
    assert "rendered, 4,000 steps, seed 0" in text and "scaledis train" in opened.page_source


def test_a_traversal_is_scrubbed_by_pointer_and_keyboard(opened):
    strip = find(opened, ".strip")[0]
    shown = lambda: opened.execute_script(  # noqa: E731
        "return getComputedStyle(document.querySelector('.frame')).backgroundPositionX"
    )
    assert strip.get_attribute("aria-valuetext") == "0.0" and shown() == "50%"
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", strip)
    from selenium.webdriver import ActionChains

    ActionChains(opened).move_to_element_with_offset(strip, strip.size["width"] // 2 - 4, 0).perform()
    assert strip.get_attribute("aria-valuetext") == "3.0" and shown() == "100%"
    strip.send_keys("\ue012")  # the left arrow
    assert strip.get_attribute("aria-valuetext") == "2.5"
    strip.send_keys("\ue011")  # home
    assert strip.get_attribute("aria-valuetext") == "−3.0" and shown() == "0%"
    opened.execute_script(
        "const all = document.getElementById('scrub-all'); all.value = 1.5; all.dispatchEvent(new Event('input'))"
    )
    assert {each.get_attribute("aria-valuetext") for each in find(opened, ".strip")} == {"1.5"}


def test_the_table_sorts_and_compares(opened):
    assert column(opened) == ["vlae", "scale_vlae", "beta_tcvae"]
    heading = lambda: find(opened, "#score-table thead button")[1]  # noqa: E731
    heading().click()
    assert column(opened)[-1] == "vlae"
    heading().click()
    assert column(opened)[0] == "vlae"
    assert find(opened, "#score-table th[aria-sort=ascending]")[0].text.startswith("DCI-D")
    opened.execute_script(
        "const s = document.querySelector('[aria-label=\"Difference to\"]'); s.value = 'vlae'; s.onchange?.();"
        "s.dispatchEvent(new Event('change'))"
    )
    assert "+0.100 (0.100 to 0.100)" in find(opened, "#score-table")[0].text
    find(opened, "#score-controls .group button")[1].click()
    assert find(opened, "#score-table thead")[0].text.split()[:2] == ["setting", "DCI-D"]


def test_scores_of_another_step_than_the_pictures_say_so(chromium, tmp_path):
    path = tmp_path / "index.html"
    path.write_text(page.render("demo", [material.summary(step=40_000, scored_step=4000)]))
    chromium.get(path.as_uri())
    shown = {part: find(chromium, f"#{part}-of .source")[0].text for part in ("ladder", "map", "edits", "samples")}
    assert shown["ladder"].endswith("rendered, 40,000 steps, seed 0; measured after 4,000 steps")
    assert shown["map"] == "rendered, 4,000 steps, seed 0" and shown["edits"].endswith("rendered, 4,000 steps, seed 0")
    assert shown["samples"] == "rendered, 40,000 steps, seed 0" and browser.errors(chromium) == []


def test_another_run_is_chosen(opened):
    assert [each.text for each in find(opened, "#ladder-of h3")] == ["vlae, seed=0", "scale_vlae, seed=0"]
    opened.execute_script(
        "const s = document.querySelector('#picker select'); s.value = '5'; s.dispatchEvent(new Event('change'))"
    )
    for part in ("ladder", "map", "reconstructions", "samples"):
        assert find(opened, f"#{part}-of h3")[0].text == "beta_tcvae, seed=1"
    find(opened, "[aria-label='Next run']")[0].click()
    assert find(opened, "#ladder-of h3")[0].text == "vlae, seed=0"


def test_a_term_and_a_setting_are_shown_and_hidden(opened):
    titles = lambda: [each.text for each in find(opened, ".panels figcaption")]  # noqa: E731
    assert titles() == ["loss", "KL"]
    find(opened, "#loss-terms button")[2].click()
    assert titles() == ["loss", "KL", "TC, level 1"]
    curves = len(find(opened, ".panels path"))
    find(opened, "#loss-settings button")[0].click()
    assert len(find(opened, ".panels path")) == curves * 2 // 3


def test_the_curves_of_a_thousand_runs_are_drawn(opened):
    panel = "panel(data.terms[0], Array(1000).fill(data.runs[0]))"
    assert opened.execute_script(f"return {panel}.querySelectorAll('path').length") == 1001  # and their mean
    assert opened.execute_script("return [extent([2, -1, 3], [0, 1]), extent([], [0, 1])]") == [[-1, 3], [0, 1]]


SPACE = {"method.beta": "log:1..64", "method.gamma": "uniform:0..8", "model.allocation": "choice:(4,2),(3,3)"}


@pytest.fixture(params=browser.WIDTHS)
def searched(request, chromium, tmp_path):
    """The page of a search of 40 trials over eight keys, at one width."""
    space = SPACE | {f"train.key{n}": "uniform:0..40" for n in range(5)}
    params = [
        {"method.beta": 1.5 * n + 1, "model.allocation": [3, 3]} | {f"train.key{n}": n for n in range(5)}
        for n in range(40)
    ]
    states = ["pruned" if n % 10 == 4 else "failed" if n % 10 == 7 else "complete" for n in range(40)]
    tried = material.search(range(40), states, space=space, params=params)
    path = tmp_path / "index.html"
    path.write_text(page.render("demo", material.sweep(), tried=tried))
    browser.resize(chromium, browser.WIDTHS[request.param])
    browser.errors(chromium)
    chromium.get(path.as_uri())
    yield chromium
    assert browser.errors(chromium) == []


def test_a_trial_of_a_search_is_told_by_pointer_and_keyboard(searched):
    assert searched.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    told = lambda: find(searched, "#search-told")[0].text  # noqa: E731
    assert told().startswith("Point at a trial") and len(find(searched, "#search-keys .trial")) == 32
    over, keys = find(searched, "#search svg.chart")
    over.send_keys("\ue010")  # end
    assert told().startswith("trial 39, complete: DCI-D 39.00, beta 59.5, gamma –, allocation 3-3")
    assert over.get_attribute("aria-valuetext") == told()
    over.send_keys("\ue012" * 2)  # twice to the left
    assert told().startswith("trial 37, failed (it cannot be built): DCI-D –")
    keys.send_keys("\ue011")  # home: the best
    assert told().startswith("trial 39,") and find(searched, "#search .one")[0].get_attribute("d").startswith("M")
    searched.execute_script("arguments[0].scrollIntoView({block: 'center'})", over)
    from selenium.webdriver import ActionChains

    left = find(searched, "#search circle.complete")[0]  # trial 0
    ActionChains(searched).move_to_element(left).perform()
    assert told().startswith("trial 0, complete")
    assert [row.text.split()[0] for row in find(searched, ".trials tbody tr")] == [
        str(n) for n in (39, 38, 36, 35, 33, 32, 31, 30, 29, 28)
    ]


def test_names_with_markup_are_text(chromium, tmp_path):
    runs = [material.summary(EVIL + str(n), n, factors=(EVIL, "b"), dataset=EVIL) for n in range(2)]
    path = tmp_path / "index.html"
    tried = material.search([1, 2], space={EVIL: "choice:a,b"}, params=[{EVIL: EVIL}] * 2)
    path.write_text(page.render(EVIL, runs, facts={EVIL: EVIL}, command=EVIL, config={EVIL: EVIL}, tried=tried))
    browser.resize(chromium, 390)
    chromium.get(path.as_uri())
    assert "hit" != chromium.title and EVIL in chromium.title
    assert EVIL in find(chromium, "h1")[0].text and EVIL in find(chromium, ".map")[0].text
    assert not find(chromium, "main img[src=x]") and browser.errors(chromium) == []
    wide = "return [...document.querySelectorAll('body *')].filter((e) => !e.closest('.wide') && e.scrollWidth > 390)"
    assert [each.get_attribute("outerHTML")[-300:] for each in chromium.execute_script(wide)] == []

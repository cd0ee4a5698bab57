"""The explorer: its session, its server, and its page in a real browser, on two tiny runs and on saved models."""

import base64
import contextlib
import dataclasses
import http.client
import io
import json
import re
import socket
import threading
import time

import numpy as np
import pytest
from PIL import ExifTags, Image

from scaledis.core.errors import UserError
from scaledis.core.files import write_lines
from scaledis.datasets._builders import pictures
from scaledis.datasets.base import sampling
from scaledis.report import gather
from scaledis.report.explore.server import make_server
from scaledis.report.explore.session import Session
from scaledis.training import engine
from scaledis.training.load import load_run
from scaledis.types import Run
from scaledis.workdir.layout import Workdir
from tests import browser, tiny
from tests.datasets import test_pictures
from tests.report import material

SENTENCE = "The file has 21 MB; at most 20 MB are taken."


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """Two runs of one population at their start."""
    runs = [Run(name, tiny.config(method__name="vlae", seed=seed)) for seed, name in enumerate(("vlae", "other"))]
    return material.workdir(tmp_path_factory.mktemp("explore") / "demo", runs).root


@pytest.fixture(scope="module")
def session(workdir):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "load_dataset", lambda data: tiny.dataset())
        yield Session(str(workdir))


@pytest.fixture(scope="module")
def server(session):
    with make_server(session) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def read(content):
    return np.asarray(Image.open(io.BytesIO(content)))


def file(kind="PNG", size=(40, 30), color=(255, 0, 0), mode="RGB"):
    buffer = io.BytesIO()
    Image.new(mode, size, color).save(buffer, kind)
    return buffer.getvalue()


def test_it_decodes_what_the_trained_run_decodes(session, workdir):
    model = load_run(workdir, "other")
    codes = [0.5, -1.0, 2.0]
    expected = np.rint(255 * model.decode([codes])[0])
    np.testing.assert_array_equal(read(session.decode("other", codes)), expected)
    moved = Image.open(io.BytesIO(session.animation("other", codes, 1)))
    assert moved.format == "GIF" and moved.n_frames == 24 and moved.size == (256, 256)


def test_it_starts_from_random_images_factors_the_prior_and_files(session, workdir):
    model, images = load_run(workdir, "vlae"), tiny.dataset()
    codes, image = session.by_factors("vlae", {"ground": 1, "place": 2, "colour": 0})
    chosen = images.images(images.index(np.array([[1, 2, 0]])))
    np.testing.assert_array_equal(read(image), chosen[0])
    np.testing.assert_allclose(codes, model.encode(chosen).mean[0], atol=1e-3)
    codes, image = session.from_file("vlae", file())
    assert (read(image) == (255, 0, 0)).all() and read(image).shape == images.image_shape
    np.testing.assert_allclose(codes, model.encode(read(image)[None]).mean[0], atol=1e-3)
    _, image = session.from_file("vlae", file("JPEG", (6000, 5000), 128, "L"))  # 30 million
    assert (read(image) == 128).all()
    codes, image = session.random("vlae")
    assert (read(image) == images.images(np.arange(96))).all((1, 2, 3)).any() and len(codes) == 3
    codes, image = session.from_prior("vlae")
    assert image == session.decode("vlae", codes) and np.isfinite(codes).all()


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (Image.new("RGBA", (40, 30), (9, 9, 9, 0)), 255),
        (Image.new("LA", (40, 30), (9, 0)), 255),
        (Image.fromarray(np.full((30, 40), 40 << 8 | 7, np.uint16)), 40),
    ],
)
def test_a_dropped_file_is_read_as_a_folder_of_images_is(session, picture, expected):
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    _, image = session.from_file("vlae", buffer.getvalue())
    assert (read(image) == expected).all()


@pytest.mark.parametrize("kind", ["gray", "RGB of 12 bits", "turned", "from 0 to 1"])
def test_a_dropped_file_is_the_image_of_the_data_set_whose_file_it_is(session, workdir, tmp_path, monkeypatch, kind):
    rng = np.random.default_rng(0)
    options, path = {}, tmp_path / "own.png"
    if kind == "gray":
        Image.fromarray(rng.integers(0, 256, (50, 70), np.uint8)).save(path)
    elif kind == "RGB of 12 bits":
        options["bits"] = 12
        path.write_bytes(test_pictures.png(rng.integers(0, 4096, (64, 80, 3), np.uint16), 2))
    elif kind == "turned":
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6
        Image.fromarray(rng.integers(0, 256, (50, 70, 3), np.uint8)).save(path, exif=exif)
    else:
        options["scale"] = True
        Image.fromarray(rng.integers(0, 2, (50, 70), np.uint8)).save(path)
    model = load_run(workdir, "vlae")
    height, width, _ = model.about["image_shape"]
    config = dataclasses.replace(model.config, data=dataclasses.replace(model.config.data, **options))
    monkeypatch.setattr(session, "model", lambda run: model._replace(config=config))
    _, image = session.from_file("vlae", path.read_bytes())
    assert height == width
    np.testing.assert_array_equal(read(image), pictures.read(path, width, **{"scale": False, **options}).pixels)


def test_it_says_what_it_knows_of_a_run(session, workdir, monkeypatch):
    about = session.about("vlae")
    assert [(unit["level"], unit["place"]) for unit in about["units"]] == [(2, 1), (2, 2), (1, 1)]
    assert about["factors"][1] == {"name": "place", "size": 8} and about["source"] == "tiny, seed 0"
    assert about["has_images"] and not about["waits"]

    def missing(data):
        raise UserError("data.path: there is no such file.")

    monkeypatch.setattr(sampling, "load_dataset", missing)
    without = Session(workdir)
    about = without.about("vlae")
    assert not about["has_images"] and not about["waits"] and "not at hand" in about["source"]
    with pytest.raises(UserError, match="not at hand"):
        without.random("vlae")


def test_images_that_have_changed_since_training_are_not_offered(workdir, tmp_path, monkeypatch):
    load_run(workdir, "other").save(tmp_path / "other")
    monkeypatch.setattr(sampling, "load_dataset", lambda data: tiny.changed(tiny.dataset()))
    for place in (workdir, tmp_path / "other"):
        session = Session(place)
        about = session.about("other")
        assert not about["has_images"] and not about["waits"] and about["factors"] == []
        assert "not at hand" in about["source"] and "fingerprint was" in about["source"]
        with pytest.raises(UserError, match="not at hand"):
            session.by_factors("other", {})
        assert len(session.from_prior("other")[0]) == 3


def test_a_run_of_an_object_is_not_looked_for_in_the_data_of_its_config(workdir, monkeypatch):
    monkeypatch.setattr(sampling, "load_dataset", lambda data: pytest.fail("there is nothing to load"))
    held = Workdir.dataset_of
    monkeypatch.setattr(Workdir, "dataset_of", lambda self, name: held(self, name) | {"name": "examples: Mine"})
    message = "was trained on an object of Python, 'examples: Mine', which only its own process has"
    assert message in Session(workdir).about("vlae")["source"]
    place = Workdir(workdir)
    groups = place.populations(place.runs())
    for look in (engine.evaluate_all, lambda workdir, groups: gather.summaries(groups, workdir)):
        with pytest.raises(UserError, match=message):
            look(place, groups)


def test_it_begins_before_the_images_are_prepared(workdir, monkeypatch):
    prepared = threading.Event()
    monkeypatch.setattr(sampling, "load_dataset", lambda data: prepared.wait(60) and tiny.dataset())
    monkeypatch.setattr("scaledis.report.explore.session.PATIENCE", 0.01)
    session = Session(workdir)
    about = session.about("vlae")
    assert about["waits"] and not about["has_images"] and "being prepared" in about["source"]
    assert len(session.from_prior("vlae")[0]) == 3
    prepared.set()
    session.random("vlae")
    assert session.about("vlae")["has_images"]


def test_a_saved_model_is_explored_without_its_work_directory(workdir, tmp_path, monkeypatch):
    monkeypatch.setattr(sampling, "load_dataset", lambda data: tiny.dataset())
    load_run(workdir, "other").save(tmp_path / "mine")
    with make_server(Session(tmp_path / "mine")) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = ask(server, "/", None, "GET")[1].decode()
        about = json.loads(ask(server, "/about", b'{"run": "mine"}')[1])
        png = ask(server, "/decode", b'{"run": "mine", "values": [0.5, -1, 2]}')[1]
        server.shutdown()
    told = json.loads(re.search(r'id="data">(.*?)</script>', page)[1])
    assert told["title"] == str(tmp_path / "mine") and told["runs"] == ["mine"]
    assert about["has_images"] and about["source"] == "tiny, seed 1" and about["factors"][1]["size"] == 8
    units = [(unit["level"], unit["place"], unit["best"], unit["dead"]) for unit in about["units"]]
    assert units == [(2, 1, None, False), (2, 2, None, False), (1, 1, None, False)]
    np.testing.assert_array_equal(read(png), read(Session(workdir).decode("other", [0.5, -1.0, 2.0])))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.decode("../../etc/passwd", [0, 0, 0]), "run: '../../etc/passwd' is unknown"),
        (lambda s: s.decode("vlae", [0, 0]), r"codes: \[0, 0\] must be 3 finite numbers"),
        (lambda s: s.decode("vlae", [0, 0, float("nan")]), "must be 3 finite numbers"),
        (lambda s: s.decode("vlae", [0, "a", {}]), "must be 3 finite numbers"),
        (lambda s: s.decode("vlae", [10**400] * 3), "must be 3 finite numbers"),
        (lambda s: s.decode("vlae", ["0", "0", "0"]), "must be 3 finite numbers"),
        (lambda s: s.decode("vlae", [0, 0, True]), "must be 3 finite numbers"),
        (lambda s: s.animation("vlae", [0, 0, 0], True), "unit: True must be a whole number from 0 to 2"),
        (lambda s: s.animation("vlae", [0, 0, 0], 3), "unit: 3 must be a whole number from 0 to 2"),
        (lambda s: s.by_factors("vlae", {"plaice": 0}), "Did you mean 'place'"),
        (lambda s: s.by_factors("vlae", {"place": 8}), "factor place: 8 must be a whole number from 0 to 7"),
        (lambda s: s.by_factors("vlae", {"place": True}), "factor place: True must be a whole number"),
        (lambda s: s.by_factors("vlae", ["place"]), "must be a dictionary"),
        (lambda s: s.from_file("vlae", b"not a picture"), "no picture that can be read"),
        (lambda s: s.from_file("vlae", file()[:60]), "no picture that can be read"),
        (
            lambda s: s.from_file("vlae", file(size=(7100, 7100), color=0, mode="L")),
            "picture: 7100x7100 is more than 50",
        ),
        (lambda s: s.from_file("vlae", file("TIFF")), "PNG, JPEG, WEBP, GIF, BMP are"),
        (lambda s: s.from_file("vlae", b"0" * 21_000_000), SENTENCE),
    ],
)
def test_what_it_cannot_take_is_a_sentence(session, call, message):
    with pytest.raises(UserError, match=message):
        call(session)


def test_a_directory_whose_runs_lie_elsewhere_is_refused(tmp_path):
    inside = tmp_path / "inside"
    write_lines(inside / "plan.json", {"0": ["../../secret"]})
    with pytest.raises(UserError, match=r"plan.json is damaged: '../../secret' is not the name of a run"):
        Session(str(inside))
    write_lines(inside / "plan.json", {"0": ["secret"]})
    (inside / "runs").symlink_to(tmp_path)
    with pytest.raises(UserError, match="leads out of"):
        Session(str(inside))
    with pytest.raises(UserError, match="no plan.json"):
        Session(str(tmp_path))


def ask(server, path, body=b"{}", method="POST", **headers):
    connection = http.client.HTTPConnection(*server.server_address, timeout=20)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer, content


def test_it_listens_on_this_machine_alone(server):
    assert server.server_address[0] == "127.0.0.1" and server.server_address[1] != 0
    answer, page = ask(server, "/", None, "GET")
    assert (
        answer.status == 200 and b"{{" not in page and "connect-src 'self'" in answer.headers["Content-Security-Policy"]
    )


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "words"),
    [
        ("/../../etc/passwd", b"{}", {}, 404, "serves one page"),
        ("/decode", b"{}", {"Host": "evil.example"}, 403, "own page"),
        ("/decode", b"{}", {"Origin": "http://evil.example"}, 403, "own page"),
        ("/decode", b"[", {}, 400, "not JSON"),
        ("/decode", b'{"run": "vlae"}', {}, 400, "a dictionary of run, values"),
        ("x://[", b"{}", {}, 400, "The address 'x://[' is none"),
        ("/decode", json.dumps({"run": "vlae", "values": [10**400] * 3}).encode(), {}, 400, "3 finite numbers"),
        ("/file?run=vlae", b"", {"Content-Length": "21000000"}, 413, SENTENCE),
        ("/file?run=vlae", bytes(21_000_000), {}, 413, SENTENCE),
        ("/nowhere", bytes(21_000_000), {}, 404, "serves one page"),
        ("/file?run=vlae", b"", {"Content-Length": "9" * 5000}, 413, "at most 20 MB are taken"),
        ("/file?run=vlae", b"GIF89a", {}, 400, "no picture"),
        ("/file?run=../x", b"GIF89a", {}, 400, "is unknown"),
    ],
)
def test_what_the_server_refuses(server, path, body, headers, status, words, capsys):
    answer, content = ask(server, path, body, **headers)
    assert answer.status == status and words in json.loads(content)["error"]
    assert capsys.readouterr().err == ""


def test_a_browser_that_opens_many_connections_at_once_gets_them_all(session):
    with make_server(session) as idle, contextlib.ExitStack() as opened:
        for _ in range(40):
            opened.enter_context(socket.create_connection(idle.server_address, timeout=1))


def test_a_bug_is_told_apart_from_a_mistake(server, monkeypatch, capsys):
    monkeypatch.setattr(server.session, "from_prior", lambda run: 1 / 0)
    answer, content = ask(server, "/prior", b'{"run": "vlae"}')
    assert answer.status == 500 and "bug" in json.loads(content)["error"]
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_a_slider_is_answered_in_less_than_a_tenth_of_a_second(server):
    connection = http.client.HTTPConnection(*server.server_address, timeout=20)
    seconds = []
    for step in range(12):
        start = time.perf_counter()
        connection.request("POST", "/decode", json.dumps({"run": "vlae", "values": [step / 4, 0, 0]}))
        assert connection.getresponse().read()[:4] == b"\x89PNG"
        seconds.append(time.perf_counter() - start)
    connection.close()
    assert sorted(seconds[1:])[5] < 0.1


@pytest.fixture(scope="module")
def chromium(server, tmp_path_factory):
    downloads = tmp_path_factory.mktemp("downloads")
    opened = browser.start(downloads)
    opened.downloads = downloads
    yield opened
    opened.quit()


DROP = """
const [id, text] = arguments;
const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const transfer = new DataTransfer();
transfer.items.add(new File([bytes], "red.png", { type: "image/png" }));
const drop = new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true });
document.getElementById(id).dispatchEvent(drop);
"""
VALUES = "return [...document.querySelectorAll('.unit input')].map((each) => Number(each.value))"
PIXELS = """
const image = document.getElementById("image"), canvas = document.createElement("canvas");
[canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
canvas.getContext("2d").drawImage(image, 0, 0);
return canvas.toDataURL();
"""


def until(condition, what):
    """Waits for something that the page does by itself."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


@pytest.mark.parametrize("width", browser.WIDTHS.values(), ids=browser.WIDTHS)
def test_the_page_moves_swaps_drops_and_saves(chromium, server, width):
    browser.resize(chromium, width)
    browser.requests(chromium), browser.errors(chromium)
    chromium.get(server.address)
    find = lambda selector: chromium.find_elements("css selector", selector)  # noqa: E731
    values = lambda: chromium.execute_script(VALUES)  # noqa: E731
    drawn = lambda: int(find("#image")[0].get_attribute("data-drawn") or 0)  # noqa: E731
    pixels = lambda: chromium.execute_script(PIXELS)  # noqa: E731
    until(lambda: drawn() >= 2 and len(values()) == 3, "the first images")
    assert chromium.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")

    start, before, count = values(), pixels(), drawn()
    find(".unit input")[0].send_keys("\ue010")  # the end of the slider
    until(lambda: drawn() > count and pixels() != before, "a slider changes the image")
    assert values()[0] >= 4 and values()[1:] == start[1:]

    chromium.execute_script(DROP, "start-B", base64.b64encode(file()).decode())
    red, image = server.session.from_file("vlae", file())
    shown = lambda: chromium.execute_script("return document.querySelector('#start-B img').src")  # noqa: E731
    until(lambda: shown().endswith(base64.b64encode(image).decode()), "the dropped picture is B")
    find(".level:last-child .swap button")[1].click()  # the lowest level from B
    until(lambda: abs(values()[2] - red[2]) < 0.02, "the level of B")
    assert values()[0] >= 4 and values()[1] == start[1]

    find("#reset")[0].click()
    until(lambda: values() == start, "reset")
    find("#save")[0].click()
    find("#animate")[0].click()
    until(lambda: {"vlae.png", "vlae,z2-1.gif"} <= {path.name for path in chromium.downloads.iterdir()}, "saved files")
    assert read((chromium.downloads / "vlae.png").read_bytes()).shape == (16, 16, 3)
    for path in chromium.downloads.iterdir():
        path.unlink()

    chromium.execute_script(DROP, "start-A", base64.b64encode(b"no picture").decode())
    until(lambda: "no picture" in find("#said")[0].text, "a sentence")
    refused = [message for message in browser.errors(chromium) if "/file" not in message]
    assert refused == [] and all(
        url.startswith((server.address, "data:", "blob:")) for url in browser.requests(chromium)
    )


def test_the_page_offers_images_once_they_are_prepared(chromium, workdir, monkeypatch):
    prepared = threading.Event()
    monkeypatch.setattr(sampling, "load_dataset", lambda data: prepared.wait(60) and tiny.dataset())
    monkeypatch.setattr("scaledis.report.explore.session.PATIENCE", 0.01)
    with make_server(Session(workdir)) as late:
        threading.Thread(target=late.serve_forever, daemon=True).start()
        chromium.get(late.address)
        text = lambda selector: chromium.find_element("css selector", selector).text  # noqa: E731
        until(lambda: "Prior" in text("#starts") and "being prepared" in text("#source"), "a page without images")
        assert "Random" not in text("#starts")
        prepared.set()
        until(lambda: "Random" in text("#starts") and "tiny" in text("#source"), "a page with images")
        late.shutdown()

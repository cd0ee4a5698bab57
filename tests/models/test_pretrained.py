"""Models of the hub, which is a folder here: what is uploaded comes back, and the card says what it is."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import scaledis
from scaledis.core import card
from scaledis.core.errors import UserError
from scaledis.datasets.base import sampling
from tests import assert_same, tiny

IMAGES = tiny.dataset().images(np.arange(4))
SCORES = {"mig/mig": 0.25, "mig/mig_chance": 0.03125, "sap/sap": 0.5, "dci/interval": [0.1, 0.2], "images": 60}


@pytest.fixture(scope="module")
def model():
    population = tiny.population([tiny.config(method__name="vlae")], tiny.dataset())
    found = population.model(population.init(), 0, sampling.facts(tiny.dataset(), tiny.config().data))
    return found._replace(about={**found.about, "scores": SCORES})


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub that keeps its repositories as folders."""
    library = pytest.importorskip("huggingface_hub")
    calls = []

    def create_repo(self, repo, *, private, exist_ok):
        assert exist_ok
        calls.append((repo, private))
        (tmp_path / "hub" / repo).mkdir(parents=True, exist_ok=True)
        return library.RepoUrl(f"https://huggingface.co/{repo}")

    def upload_folder(self, *, repo_id, folder_path, commit_message):
        calls.append(commit_message)
        shutil.copytree(folder_path, tmp_path / "hub" / repo_id, dirs_exist_ok=True)

    def snapshot_download(repo, revision=None, allow_patterns=None):
        calls.append((revision, allow_patterns))
        return str(tmp_path / "hub" / repo)

    monkeypatch.setattr(library.HfApi, "create_repo", create_repo)
    monkeypatch.setattr(library.HfApi, "upload_folder", upload_folder)
    monkeypatch.setattr(library, "snapshot_download", snapshot_download)
    return tmp_path / "hub", calls


def test_what_is_pushed_comes_back(model, hub, tmp_path, monkeypatch):
    folder, calls = hub
    monkeypatch.chdir(tmp_path)
    assert model.push_to_hub("me/mine", private=True) == "https://huggingface.co/me/mine"
    names = sorted(path.name for path in (folder / "me/mine").iterdir())
    assert names == ["README.md", "model.json", "model.safetensors"]
    loaded = scaledis.from_pretrained("me/mine", revision="v1")
    assert_same(loaded.encode(IMAGES), model.encode(IMAGES))
    assert loaded.about == json.loads(json.dumps(model.about))
    assert calls == [
        ("me/mine", True),
        "Model(vlae, 2-1 units, rendered, seed 0, step 0)",
        ("v1", ["model.json", "model.safetensors"]),
    ]


def test_a_folder_is_loaded_without_the_hub(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    model.save(tmp_path / "mine")
    for place in (tmp_path / "mine", str(tmp_path / "mine")):
        assert_same(scaledis.from_pretrained(place).encode(IMAGES), model.encode(IMAGES))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"place: '.*/empty' has no model.json"):
        scaledis.from_pretrained(str(tmp_path / "empty"))
    for call in (lambda: scaledis.from_pretrained("me/mine"), lambda: model.push_to_hub("me/mine")):
        with pytest.raises(UserError, match=r"pip install scaledis\[hub\]"):
            call()


def test_the_card_says_what_the_model_is(model):
    made = card.make_card(model.about, "me/mine")
    for words in (
        "# vlae on tiny",
        "`vlae` with 2-1 units per level, top to bottom, trained for 0 steps by scaledis",
        'scaledis.from_pretrained("me/mine")',
        "| images | 96 of 16x16x3 |",
        "| factors | ground (4), place (8), colour (3) |",
        f"| fingerprint | `{tiny.dataset().fingerprint}` |",
        "| mig/mig | 0.250 | 0.031 |",
        "| sap/sap | 0.500 | unknown |",
    ):
        assert words in made
    assert "interval" not in made and "mig_chance" not in made
    config = json.loads(made.partition("```json\n")[2].partition("```")[0])
    assert config == json.loads(json.dumps(model.about["config"]))
    bare = {**model.about, "scores": {}, "data": {}, "diverged": 3}
    assert "It has not been scored." in card.make_card(bare, "me/mine")
    assert "0 steps, where it diverged" in card.make_card(bare, "me/mine")


def test_the_hub_reads_the_card(model):
    library = pytest.importorskip("huggingface_hub")
    found = library.ModelCard(card.make_card(model.about, "me/mine"))
    assert found.data.library_name == "scaledis" and "disentanglement" in found.data.tags


def test_the_name_of_a_data_set_cannot_break_the_card(model):
    data = {**model.about["data"], "name": "a | b\n# c"}
    made = card.make_card({**model.about, "data": data}, "me/mine")
    assert "| data set | a / b # c |" in made and "\n# c" not in made


def test_what_the_hub_refuses_is_one_sentence(model, monkeypatch):
    library = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(library.constants, "HF_HUB_OFFLINE", True)
    for call, message in (
        (lambda: scaledis.from_pretrained("nobody/none"), "place: 'nobody/none' cannot be reached or is refused"),
        (lambda: scaledis.from_pretrained("a b//c"), "place: 'a b//c' cannot be reached or is refused: Repo id must"),
        (lambda: model.push_to_hub("me/mine"), "repo: 'me/mine' cannot be reached or is refused"),
        (lambda: model.push_to_hub(Path("mine")), "repo: .* must be text"),
        (lambda: scaledis.from_pretrained(3), "place: 3 must be text or a path"),
    ):
        with pytest.raises(UserError, match=message) as raised:
            call()
        assert "\n" not in str(raised.value)

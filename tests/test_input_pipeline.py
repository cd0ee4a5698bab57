"""Which images a run sees and how often; and that images from the device and from the host train the same runs."""

import contextlib
import dataclasses

import jax
import numpy as np
import pytest

from scaledis import methods
from scaledis.config import Data
from scaledis.core.errors import UserError
from scaledis.datasets.base import sampling
from scaledis.methods.base.spec import MethodSpec
from scaledis.types import Method
from tests import assert_same, tiny

GRID = tiny.dataset()  # ground 4, place 8, color 3
TABLE = dataclasses.replace(GRID, table=GRID.factors(np.arange(96))[:60], held_out=np.arange(50, 60, dtype=np.int32))
PARTLY = dataclasses.replace(GRID, table=GRID.factors(np.arange(96)), measured=True)
PARTLY.table[:10, 1] = -1  # no place
ON_DISK = dataclasses.replace(tiny.dataset(), source=np.asarray(tiny.dataset().source))


def trained(memory, steps):
    configs = [
        tiny.config(seed=seed, data__memory=memory, data__correlation=(("ground", "place", 0.3),)) for seed in (0, 1)
    ]
    members = tiny.population(configs, ON_DISK)
    runs, advance = members.init(), members.make_advance(ON_DISK)
    for count in steps:
        runs, terms = advance(runs, count)
    return jax.device_get((runs, terms))


def test_a_run_fed_from_the_host_is_the_run_fed_from_the_device():
    (device, device_terms), (host, host_terms) = trained("device", [2, 5]), trained("host", [2, 5])
    np.testing.assert_array_equal(device.step, host.step)
    for name in device_terms:
        np.testing.assert_allclose(host_terms[name], device_terms[name], rtol=1e-4, atol=1e-4)
    for a, b in zip(jax.tree.leaves(host), jax.tree.leaves(device), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


def test_where_a_run_fed_from_the_host_is_interrupted_changes_nothing():
    assert_same(trained("host", [7])[0], trained("host", [1, 4, 2])[0])


def test_the_same_batches_for_the_same_key_in_both_ways(monkeypatch):
    """The images that a step gets, not what it makes of them: seen by a method that only keeps them.

    On the host a thread draws them, for which the settings of the process hold.
    """
    keep = Method(
        init=lambda key, hyperparameters: tiny.batch(np.zeros((8, 16, 16, 3), np.uint8)),
        update=lambda state, batch, key: (batch, {"loss_nats": batch.images.mean(dtype=np.float32)}),
        encode=lambda state, images: None,
        decode=lambda state, codes: None,
    )
    monkeypatch.setitem(methods.REGISTRY.registered, "keep", MethodSpec(lambda config, images: keep, "", ""))
    seen = {}
    for memory, settings in {"device": contextlib.nullcontext(), "host": tiny.foreign_settings()}.items():
        shared = {"method__name": "keep", "data__memory": memory, "data__held_out": 0.2}
        members = tiny.population([tiny.config(seed=seed, **shared) for seed in (3, 4)], ON_DISK)
        with settings:
            runs, terms = members.make_advance(ON_DISK)(members.init(), 9)
        seen[memory] = jax.device_get((runs.state, terms["loss_nats"]))
    assert_same(seen["device"][0], seen["host"][0])
    images, number = seen["host"][0]
    for run in range(2):  # with places in the data set, not in the split
        np.testing.assert_array_equal(images[run], ON_DISK.images(number[run]))
    np.testing.assert_allclose(seen["device"][1], seen["host"][1], rtol=1e-6)
    assert not np.array_equal(images[0], images[1]) and number.dtype == np.int32


def drawn(dataset, data, n=20_000):
    sampler = sampling.make_sampler(dataset, data)
    return np.asarray(jax.jit(sampling.draw, static_argnums=2)(sampler, jax.random.key(0), n))


def test_every_image_is_as_likely_where_nothing_is_correlated():
    counts = np.bincount(drawn(GRID, Data()), minlength=96)
    assert len(counts) == 96 and np.abs(counts / counts.mean() - 1).max() < 0.3


def test_a_pair_is_correlated_as_its_equation_says_and_the_rest_is_not():
    factors = GRID.factors(drawn(GRID, Data(correlation=(("ground", "place", 0.2),)), 60_000))
    found = np.zeros((4, 8))
    np.add.at(found, (factors[:, 0], factors[:, 1]), 1 / len(factors))
    expected = np.exp(-((np.arange(4)[:, None] / 3 - np.arange(8) / 7) ** 2) / (2 * 0.2**2))
    np.testing.assert_allclose(found, expected / expected.sum(), atol=0.005)
    assert abs(np.corrcoef(factors[:, 0], factors[:, 2])[0, 1]) < 0.02
    assert np.corrcoef(factors[:, 0], factors[:, 1])[0, 1] > 0.7


def test_a_wide_correlation_is_none_and_two_pairs_go_together():
    factors = GRID.factors(drawn(GRID, Data(correlation=(("ground", "place", 100.0),))))
    assert abs(np.corrcoef(factors[:, 0], factors[:, 1])[0, 1]) < 0.03
    both = GRID.factors(drawn(GRID, Data(correlation=(("ground", "place", 0.2), ("place", "colour", 0.2)))))
    assert np.corrcoef(both.T)[0, 1] > 0.6 and np.corrcoef(both.T)[1, 2] > 0.6


def test_splits_are_disjoint_the_same_each_time_and_of_the_given_share():
    data = Data(held_out=0.25)
    train, held_out = (sampling.split(GRID, data, name) for name in ("train", "held_out"))
    assert len(held_out) == 24 and not set(train) & set(held_out)
    np.testing.assert_array_equal(np.sort(np.concatenate([train, held_out])), sampling.split(GRID, data, "all"))
    np.testing.assert_array_equal(held_out, sampling.split(GRID, data, "held_out"))
    assert set(drawn(GRID, data)) == set(train)


def test_the_default_split_is_what_it_always_was():
    expected = np.sort(np.random.default_rng(0).permutation(96)[:24])
    np.testing.assert_array_equal(sampling.split(GRID, Data(held_out=0.25), "held_out"), expected)
    assert expected[:5].tolist() == [5, 8, 9, 10, 11]  # as numpy draws them


def test_whole_groups_are_held_out():
    folders = np.repeat(np.arange(16, dtype=np.int32), 6)[::-1]
    frames = dataclasses.replace(GRID, folders=folders)
    for images, by, groups in [(frames, "folder", folders), (frames, "place", GRID.factors(np.arange(96))[:, 1])]:
        data = Data(held_out=0.25, held_out_by=by)
        train, held_out = (set(groups[sampling.split(images, data, name)]) for name in ("train", "held_out"))
        assert not train & held_out and len(held_out) == len(set(groups)) / 4 and train | held_out == set(groups)
    places = set(GRID.factors(drawn(frames, data))[:, 1])
    assert len(places) == 6 and not places & held_out


@pytest.mark.parametrize(
    ("share", "by", "message"),
    [
        (0.05, "place", "data.held_out: 0.05 of 8 groups by data.held_out_by=place rounds to 0; at least one must"),
        (0.95, "place", "data.held_out: 0.95 of 8 groups .* rounds to 8; at least one must be held out, and one train"),
        (0.5, "folder", "data.held_out_by: 'folder' is unknown. Choices: colour, ground, place."),
        (0.5, "plce", "data.held_out_by: 'plce' is unknown. Did you mean 'place'"),
    ],
)
def test_groups_that_cannot_be_held_out(share, by, message):
    with pytest.raises(UserError, match=message):
        sampling.split(GRID, Data(held_out=share, held_out_by=by), "train")


def test_images_without_a_label_train_and_are_no_group_of_their_own():
    for share, count in ((0.25, 2), (0.75, 6)):
        held_out = sampling.split(PARTLY, Data(held_out=share, held_out_by="place"), "held_out")
        places = PARTLY.ranks(held_out)[:, 1]
        assert places.min() >= 0 and len(set(places)) == count


def test_a_set_without_folders_and_factors_has_no_groups():
    nameless = dataclasses.replace(GRID, factor_names=(), factor_values=(), table=np.zeros((96, 0), np.int32))
    with pytest.raises(UserError, match="data.held_out_by: 'folder' is unknown; tiny has neither folders nor factors"):
        sampling.split(nameless, Data(held_out=0.5, held_out_by="folder"), "train")


def test_frames_that_are_split_one_by_one_are_said(capsys):
    frames = dataclasses.replace(GRID, folders=np.arange(96) // 12)
    for images, data, said in [
        (frames, Data(held_out=0.1), 1),
        (frames, Data(), 0),
        (frames, Data(held_out=0.1, held_out_by="folder"), 0),
        (GRID, Data(held_out=0.1), 0),
        (dataclasses.replace(GRID, folders=np.zeros(96)), Data(held_out=0.1), 0),
    ]:
        sampling.warn_of_neighbors(images, data)
        assert capsys.readouterr().err.count("the images of 8 folders of tiny are split one by one") == said


def test_another_split_or_order_of_the_same_images_is_seen():
    names = dataclasses.replace(GRID, factor_values=(np.array(["1", "2", "9", "10"]), *GRID.factor_values[1:]))
    for images in (GRID, names):
        held = sampling.facts(images, Data(held_out=0.25))
        sampling.check_same(held, sampling.facts(images, Data(held_out=0.25)), "mine")
        with pytest.raises(UserError, match="mine was trained on other .*: train_split was .* and is [0-9a-f]{16}.$"):
            sampling.check_same(held, sampling.facts(images, Data(held_out=0.25, held_out_by="place")), "mine")
    before = {"fingerprint": "that of 1, 10, 2, 9"}
    with pytest.raises(UserError, match="fingerprint was .* Since then names are in the order of their numbers"):
        sampling.check_same(before, sampling.facts(names, Data()), "mine")


def test_the_data_sets_own_split_holds_unless_another_is_asked_for():
    np.testing.assert_array_equal(sampling.split(TABLE, Data(), "held_out"), np.arange(50, 60))
    assert len(sampling.split(TABLE, Data(held_out=0.5), "held_out")) == 30
    assert [sampling.share(TABLE, Data(held_out=share)) for share in (0.0, 0.5)] == [10 / 60, 30 / 60]
    with pytest.raises(UserError, match="data.held_out: 0.0 leaves no images of tiny in the split 'held_out'"):
        sampling.split(GRID, Data(), "held_out")


def test_correlated_factors_of_a_table_stay_in_its_rows():
    index = drawn(TABLE, Data(correlation=(("ground", "place", 0.2),)))
    assert index.max() < 50


def test_factors_with_missing_labels_cannot_be_correlated():
    pairs = (("colour", "place", 0.2), ("colour", "ground", 0.2))
    with pytest.raises(UserError, match="data.correlation: 10 of 96 images that train have no label of place; leave"):
        sampling.make_sampler(PARTLY, Data(correlation=pairs))
    assert len(sampling.make_sampler(PARTLY, Data(correlation=pairs[1:])).counts) == 12


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ((("ground", "colr", 0.2),), "data.correlation: 'colr' is unknown. Did you mean 'colour'"),
        ((("ground", "ground", 0.2),), "must be .factor, other factor, sigma above 0."),
        ((("ground", "colour"),), "must be"),
        ((("ground", "colour", 0),), "must be"),
        (("ground", "colour", 0.2), "'ground' must be"),
    ],
)
def test_what_cannot_be_correlated_is_an_error(pairs, message):
    with pytest.raises(UserError, match=message):
        sampling.check(Data(correlation=pairs))
        sampling.make_sampler(GRID, Data(correlation=pairs))

"""Whatever names the classes of a factor scores as the same classes do in int64."""

import ml_dtypes
import numpy as np
import pandas as pd
import pytest

from scaledis import metrics, score
from scaledis.core.errors import UserError
from scaledis.metrics.shared import agreement, labels
from scaledis.metrics.shared.classes import MISSING, class_numbers
from tests.frameworks import Tensor

F = np.random.default_rng(0).integers(0, 5, (900, 3))
Z = F + 0.1 * np.random.default_rng(1).normal(size=F.shape)
NAMES = np.array(["2", "10", "b1", "b9", "b10"])  # in the natural order
FRAME = pd.DataFrame(F, columns=["hue", "size", "shape"])
INTEGERS = (np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64, ml_dtypes.int4)
ORDERED = pd.CategoricalDtype(["e", "d", "c", "b", "a"], ordered=True)


@pytest.mark.parametrize(
    "factors",
    [
        *(F.astype(kind) for kind in (*INTEGERS, np.float16, np.float64, ml_dtypes.bfloat16, object)),
        Tensor(F),
        F.tolist(),
        NAMES[F],
        NAMES[F].astype("S"),
        NAMES[F].astype(np.dtypes.StringDType()),
        NAMES[F].astype(object),
        NAMES[F].tolist(),
        FRAME,
        FRAME.astype("Int8"),
        FRAME.astype("category"),
        FRAME.map(NAMES.__getitem__),
        FRAME.map(NAMES.__getitem__).astype("category"),
        FRAME.map("edcba".__getitem__).astype(ORDERED),
        [[int(value) + 2**70 for value in row] for row in F],
        np.array([-(2**63), -1, 0, 2**62, 2**63 - 1])[F],
        np.array([0, 1, 2**62, 2**63, 2**64 - 1], np.uint64)[F],
    ],
)
def test_classes_of_every_type(factors):
    found = class_numbers("factors", factors)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, F)


def test_an_ordered_category_keeps_its_order_where_labels_are_missing():
    words = pd.CategoricalDtype(["unknown", "low", "mid", "high"], ordered=True)
    falling = pd.CategoricalDtype([3, 2, 1], ordered=True)
    frame = pd.DataFrame({"f": pd.Series(["low", "mid", None, "high", "unknown"], dtype=words)})
    for missing, places in ((None, [1, 2, MISSING, 3, 0]), ("unknown", [1, 2, MISSING, 3, MISSING])):
        assert labels.read("factors", frame, missing=missing).classes[:, 0].tolist() == places
    frame = pd.DataFrame({"f": pd.Series([3, 2, 1, 2], dtype=falling)})
    for missing, places in ((1, [0, 1, MISSING, 1]), (0, [0, 1, 2, 1])):
        assert labels.read("factors", frame, missing=missing).classes[:, 0].tolist() == places


def test_a_word_that_stands_for_no_label_is_found_in_text_of_every_type():
    words = np.array([["low"], ["none"], ["mid"]])
    for kind in ("U", "S", object, np.dtypes.StringDType()):
        found = labels.read("factors", words.astype(kind), missing="none").classes[:, 0]
        assert found.tolist() == [0, MISSING, 1]


def test_bools_are_0_and_1_and_whole_numbers_keep_their_values():
    np.testing.assert_array_equal(class_numbers("factors", F > 2), F > 2)
    for kind in (np.int8, np.float32, int):
        np.testing.assert_array_equal(class_numbers("factors", (30 * F - 90).astype(kind)), 30 * F - 90)
    np.testing.assert_array_equal(class_numbers("factors", FRAME["hue"]), F[:, :1])
    np.testing.assert_array_equal(class_numbers("factors", pd.Categorical(FRAME["hue"])), F[:, :1])


def test_every_metric_scores_wide_types_as_int64():
    values, codes = np.array([-90, -80, 0, 45, 90])[F[:150]], Z[:150]
    for names, protocol in ((["mig", "sap"], "hfs"), (["mcc", "irs", "tad", "dci"], "library")):
        expected, found = (
            metrics.compute(names, codes, values.astype(kind), protocol=protocol) for kind in (np.int64, np.int8)
        )
        assert found == expected
    assert 0.99 < found["dci/disentanglement"] <= 1 and 0.9 < found["mcc/pearson"] < 0.99  # it reads amounts
    hashes = np.array([-(2**63), -7, 2**62, 2**63 - 1, 2**63 - 2])[F[:150]]
    assert 0.99 < score(Z[:150], hashes, "dci")["dci/disentanglement"] <= 1


def changed(value, kind=float):
    factors = F[:9].astype(kind)
    factors[4, 1] = value
    return factors


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        (changed(np.nan), "column 1: row 4 is nan; class numbers"),
        (changed(np.inf), "column 1: row 4 is inf; class numbers"),
        (changed(0.5), "column 1: row 4 is 0.5; class numbers .*np.digitize"),
        (changed(None, object), "column 1: row 4 is None; class numbers"),
        (changed(None, object).tolist(), "column 1: row 4 is None; class numbers"),
        (changed(np.nan, object).tolist(), "column 1: row 4 is nan; class numbers"),
        (changed("a", object).tolist(), "column 1: it mixes strings with numbers, such as 'a' and"),
        (changed((1,), object), r"column 1: row 4 is \(1,\); class numbers"),
        (FRAME.astype("Int64").mask(FRAME == F[3, 1]), "column '(hue|size)': row . is nan; class numbers"),
        (FRAME.map(NAMES.__getitem__).mask(FRAME > 3), "column 'hue': row . is nan; class numbers"),
        (np.ma.masked_equal(F, 3), ".* entries are masked, the first at"),
        (F + 0j, "column 0: dtype complex128; class numbers"),
        (F.astype("M8[D]"), "column 0: dtype datetime64.D.; class numbers"),
        (FRAME.reset_index(), "column 'index': it numbers the rows"),
        (F[:, 0], r"shape \(900,\); two axes"),
    ],
    ids=lambda given: type(given).__name__ if not isinstance(given, str) else None,
)
def test_labels_that_are_no_class_are_a_sentence(factors, message):
    with pytest.raises(UserError, match=f"factors(: |, ){message}") as caught:
        class_numbers("factors", factors)
    assert "\n" not in str(caught.value)


def test_pandas_objects_are_aligned_by_their_index():
    codes, order = pd.DataFrame(Z), np.random.default_rng(2).permutation(900)
    expected, levels = score(Z, F, "mig", log_variances=Z - 3), {"mig_sampled", "mig"}
    found = score(codes, FRAME.iloc[order], "mig", log_variances=(codes - 3).iloc[order[::-1]])
    assert found == expected and levels <= {key.removeprefix("mig/") for key in found}
    with pytest.raises(UserError, match="codes, log_variances: their pandas indices"):
        score(codes, FRAME, "mig", log_variances=(codes - 3).set_axis(range(1, 901)))
    kl = [[1.0, 1.0, 1.0]] * 2
    first, second = agreement.udr([codes, codes.iloc[order]], kl)["spearman"]
    assert first == second and 0.9 < first <= 1
    with pytest.raises(UserError, match="kl: unit 1 of run 1 has NaN nats"):
        agreement.udr([Z, Z], [[1, 1, 1], [1, np.nan, 1]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, "seed: -1 must be a number from 0 to 4294967295"),
        ({"seed": "a"}, "seed: 'a' must be a whole number"),
        ({"metrics": 3}, "metrics: 3 must be a list"),
        ({"metrics": ["mig", None]}, r"metrics\[1\]: None must be text"),
        ({"protocol": "nope"}, "protocol: 'nope' is unknown. Choices: hfs, library, paper, scaledis"),
        ({"protocol": ""}, "protocol: '' is unknown"),
        ({"levels": 3}, r"levels: shape \(\) must be \(3,\)"),
        ({"levels": [0, None, 1]}, "levels: row 1 is None"),
        ({"groups": 3}, "groups: 3 must be a list"),
        ({"groups": []}, r"groups: \(\) must be columns from 0 to 2"),
        ({"groups": [[0, 1]], "metrics": ["mig", "support"]}, "groups: the metric 'support' takes none.*dci, .*mig"),
        ({"groups": [[0, "a"]]}, r"groups\[0\]\[1\]: 'a' must be a whole number"),
        ({"log_variances": "a"}, "log_variances: text"),
        ({"log_variances": np.where(F == 4, np.nan, 0)}, "log_variances: row . of unit . and .* other entries are NaN"),
        ({"rows": -5}, "rows: -5 must be a number from 2"),
        ({"n_bootstrap": 2.5}, "n_bootstrap: 2.5 must be a whole number"),
        ({"dci": 3}, "dci: 3 must be a dictionary"),
        ({"mig": {"bins": "a"}}, "mig: bins: 'a' must be a whole number"),
        ({"mig": {"rows": "a"}}, "rows: 'a' must be a whole number"),
        ({"mig": {"shuffle": 3}}, "shuffle: 3 must be True or False"),
        ({"dci": {"train_fraction": np.nan}, "metrics": "dci"}, "dci: train_fraction: nan must be a number"),
        ({"irs": {"quantile": 2.0}, "metrics": "irs"}, "quantile: 2.0 must be a number from 0 to 1"),
        ({"infomec": {"neighbors": 0}, "metrics": "infomec"}, "neighbors: 0 must be a number from 1"),
        ({"level": {"samples": 0}, "metrics": "level"}, "samples: 0 must be a number from 10"),
        ({"bootstrap": 3}, "metrics: 'bootstrap' is unknown"),
    ],
)
def test_arguments_of_another_kind_are_named(arguments, message):
    with pytest.raises(UserError, match=message) as caught:
        score(Z, F, **({"metrics": "mig"} | arguments))
    assert "\n" not in str(caught.value)


def test_the_door_passes_on_what_compute_takes():
    settings = {
        "protocol": "hfs",
        "rows": 600,
        "n_bootstrap": 2,
        "chance": 4,
        "levels": ["top", "low", "low"],
        "groups": [[0], [1, 2]],
    }
    found = score(Z, F, ["mig", "sap"], **settings)
    assert found == metrics.compute(["mig", "sap"], Z, F, **settings)
    assert (found["sap/n"], found["mig/protocol"]) == (600, "hfs") and len(found["mig/mig_interval"]) == 2
    assert (found["sap/permutations"], found["mig/permutations"]) == (1, 4)
    assert score(Z, F, "mig", log_variances=Z * 0)["mig/mig_sampled"] < 0.5

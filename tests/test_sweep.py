"""Sweeps: named, ad hoc, and those that yield what they should not; names of runs."""

import itertools
import random

import pytest

from scaledis.core.errors import UserError
from scaledis.sweeps.expand import _values, expand, run_name
from tests import tiny


def test_a_sweep_is_a_product_of_named_generators():
    runs = expand(tiny.plain(), ["regularizers", "seeds"])
    assert len(runs) == 20
    assert runs[0].name == "vlae,seed=0" and runs[0].config.method.name == "vlae"
    assert runs[-1].name == "scale_vlae,seed=4"
    assert len({run.name for run in runs}) == 20
    with pytest.raises(UserError, match="--sweep: 'seed' is unknown. Did you mean 'seeds'"):
        expand(tiny.plain(), ["seed"])


def test_no_sweep_is_a_sweep_of_one_run():
    assert [run.name for run in expand(tiny.plain(), [])] == ["run"]


def test_sweeps_on_the_command_line():
    runs = expand(tiny.plain(), ["method.beta=2,4.5,8", "seeds:2"])
    assert [run.name for run in runs][:3] == ["beta=2,seed=0", "beta=2,seed=1", "beta=4.5,seed=0"]
    assert [run.config.method.hyperparameters["beta"] for run in runs] == [2, 2, 4.5, 4.5, 8, 8]
    expected = [("allocation=2-1", (2, 1)), ("allocation=1-2", (1, 2))]
    for given in ("(2,1),(1,2)", "[2,1],[1,2]", "[2, 1] , (1,2.0)"):
        runs = expand(tiny.plain(), [f"model.allocation={given}"])
        assert [(run.name, run.config.model.allocation) for run in runs] == expected
    pairs = "((('ground','place',.2),),('place',.1)),()"
    assert _values("data.correlation", pairs) == [((("ground", "place", 0.2),), ("place", 0.1)), ()]
    runs = expand(tiny.plain(), ["train.steps=3e5,1_000,7.0"])
    assert [(run.name, run.config.train.steps) for run in runs] == [
        ("steps=300000", 300000),
        ("steps=1000", 1000),
        ("steps=7", 7),
    ]
    runs = expand(tiny.plain(data__name="folder"), ["data.skip_unreadable=true,False"])
    assert [run.config.data.skip_unreadable for run in runs] == [True, False]
    assert [run.name for run in runs] == ["skip_unreadable=True", "skip_unreadable=False"]
    runs = expand(tiny.plain(), ["method.name=vlae,scale_vlae"])
    assert [run.config.method.name for run in runs] == [run.name for run in runs] == ["vlae", "scale_vlae"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("seeds:x", "--sweep: 'seeds:x' must be seeds and a number of them"),
        ("seeds:0", "seeds:0"),
        ("seeds:" + "9" * 12, "must be seeds and a number"),
        ("method.beta=", "--sweep: method.beta= has an empty value"),
        ("method.beta=2,,4", "has an empty value"),
        ("method.beta=x", "method.beta: 'x' must be"),
        ("method.bet=2", "sweep key: 'method.bet' is unknown. Did you mean 'method.beta'"),
        ("seed=1,True", "seed: True must be a whole number"),
        ("data.scale=0,1", "data.scale: 0 must be True or False"),
        ("train.steps=300000,3e5", "gives the same run twice, as steps=300000 and as steps=300000~2"),
        ("seed=" + 3000 * "(", r"seed: '\(\(.* must be a whole number"),
        ("seed={[]:1}", r"seed: '{\[\]:1}' must be a whole number"),
        ("model.allocation=[2,1],(1,2", r"model.allocation: .*\(1.* must be whole numbers from 1 to 4096"),
        ("seed=1,1", "gives the same run twice, as seed=1 and as seed=1~2"),
        ("method.beta=2,2.0", "gives the same run twice, as beta=2 and as beta=2.0"),
        (".seed=1", "sweep key: '.seed' is unknown"),
        ("", "--sweep: '' is unknown"),
        ("=1", "sweep key: '' is unknown"),
        ("pairs:3", "--sweep: 'pairs:3' is unknown"),
    ],
)
def test_a_wrong_sweep_on_the_command_line_is_one_clear_error(given, message):
    with pytest.raises(UserError, match=message):
        expand(tiny.plain(), [given])


@pytest.mark.parametrize(
    ("sweeps", "message"),
    [
        (["seed=1", "seeds:3"], "--sweep: seed=1 and seeds:3 both set seed"),
        (["method.gamma=1,2", "regularizers"], "--sweep: method.gamma=1,2 and regularizers both set method.gamma"),
        (["seeds:2", "method.beta=2", "seeds:2"], "--sweep: seeds:2 and seeds:2 both set seed"),
    ],
)
def test_two_sweeps_of_one_key_are_one_clear_error(sweeps, message):
    """The later one would win without a word."""
    with pytest.raises(UserError, match=message):
        expand(tiny.plain(), sweeps)


def yields(*values):
    def make():
        yield from values

    return make


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: None, "--sweep: mine gives NoneType; it must yield overrides"),
        (lambda: {"seed": 1}, "--sweep: mine gives dict"),
        (lambda: "seed", "--sweep: mine gives str"),
        (yields(None), "--sweep: mine yields None; it must yield overrides"),
        (yields(["seed", 1]), r"--sweep: mine yields \['seed', 1\]; it must yield overrides"),
        (yields({3: 4}), "--sweep: mine yields {3: 4}"),
        (yields(), "--sweep: mine yields no overrides"),
        (lambda: ({"seed": n} for n in itertools.count()), "--sweep: mine yields more than 100,000 overrides"),
        (yields({"seed": 1}, {"seed": 1}), "--sweep: mine gives the same run twice"),
        (yields({"seed": 1}, {"seed": True}), "seed: True"),
        ([{"seed": 1}], "--sweep: 'mine' is unknown"),
    ],
)
def test_a_sweep_that_yields_no_overrides_is_one_clear_error(make, message):
    with pytest.raises(UserError, match=message):
        expand(tiny.plain(), ["mine"], {"sweep_mine": make})


def test_a_product_that_is_too_large_is_an_error_and_not_cut_short():
    betas = "method.beta=" + ",".join(map(str, range(1000)))
    with pytest.raises(UserError, match="gives 1,000,000 runs; at most 100,000"):
        expand(tiny.plain(), ["seeds:1000", betas])


def test_a_list_of_overrides_will_do():
    assert len(expand(tiny.plain(), ["mine"], {"sweep_mine": lambda: [{"seed": 1}, {"seed": 2}]})) == 2


def test_sweep_overrides_are_checked():
    for key, message in [("train.stepz", "Did you mean 'train.steps'"), ("trian.steps", "'trian.steps' is unknown")]:
        with pytest.raises(UserError, match=f"sweep key: .*{message}"):
            expand(tiny.plain(), ["mine"], {"sweep_mine": yields({key: 3})})


def test_names_are_safe_file_names_whatever_the_values_are():
    rng = random.Random(0)
    letters = "ab/\\. :*?\"<>|\0\n~$_-=,'\u4e2d\u00e9\U0001f600"
    values = ["".join(rng.choices(letters, k=rng.randint(0, 300))) for _ in range(200)]
    taken = set()
    for value in [*values, "a/b", "a b", "A/B", "../..", ".", "~", "\u4e2d" * 300, (1, "/"), None]:
        name = run_name({"data.path": value, "method.name": "vlae"}, taken)
        assert 0 < len(name.encode()) < 255 and name.isprintable() and name[0] not in ".~-"
        assert not set(name) & set("/\\:*?\"<>|\0\n $'")
        assert name.casefold() not in taken
        taken.add(name.casefold())
    assert len(taken) == 209


def test_a_value_with_a_slash_is_one_folder(tmp_path):
    runs = expand(tiny.plain(data__name="arrays"), ["data.path=a/b.npz,a b.npz,A/B.npz"])
    assert [run.name for run in runs] == ["path=a-b.npz", "path=a-b.npz~2", "path=A-B.npz~3"]
    assert [run.config.data.path for run in runs] == ["a/b.npz", "a b.npz", "A/B.npz"]

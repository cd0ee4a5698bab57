"""What a sweep takes of devices that are not here, by hand-computed numbers."""

from pathlib import Path

import pytest

from scaledis import datasets
from scaledis.core.errors import UserError
from scaledis.datasets.base import sampling
from scaledis.planning import dry_run, forecast, hlo, programs, table
from scaledis.planning.sizes import sizes_of
from scaledis.planning.table import Cost, Key
from scaledis.planning.targets import parse
from scaledis.sweeps.expand import expand as expanded
from tests import tiny

ROOT = Path(__file__).parents[1]
SETTINGS = "model.parameters=6000 model.channels=4-4-4-4 discriminator.features=16 discriminator.layers=2 train.batch=8"
KEY = Key("h100", "scale_vlae", "16x16x3", 2, SETTINGS)
ONE, TEN = Cost(1e9, 4e9, 1e9, 100, 72), Cost(1e10, 22e9, 10e9, 120, 72)
ROWS = {KEY: {1: ONE, 10: TEN}}


@pytest.fixture(autouse=True)
def tiny_images(monkeypatch):
    monkeypatch.setattr(datasets, "load", lambda *_, **__: tiny.dataset())
    sampling.load_dataset.cache_clear()
    yield
    sampling.load_dataset.cache_clear()


def expand(*sweeps, **overrides):
    return expanded(tiny.plain(**{"model__network": "", **overrides}), sweeps)


def test_costs_are_linear_between_two_rows_and_beyond_them_and_one_row_is_taken_in_proportion():
    assert table.at(ROWS[KEY], 1) == ONE and table.at(ROWS[KEY], 10) == TEN
    assert table.at(ROWS[KEY], 4)[:3] == pytest.approx((4e9, 10e9, 4e9))  # 4 + (22 - 4) / 3 GB
    assert table.at(ROWS[KEY], 19)[:3] == pytest.approx((19e9, 40e9, 19e9))
    assert table.at({10: TEN}, 5)[:4] == pytest.approx((5e9, 11e9, 5e9, 120))


def test_three_rows_are_a_line_in_each_of_their_parts():
    costs = {1: ONE, 10: TEN, 20: TEN._replace(touched=122e9)}
    assert table.at(costs, 4).touched == pytest.approx(10e9) and table.at(costs, 15).touched == pytest.approx(72e9)


def test_a_chip_holds_the_runs_whose_step_fits_in_nine_tenths_of_its_memory():
    assert table.fitting(ROWS[KEY], 7.5e9) == 7 and table.fitting(ROWS[KEY], 8e9) == 8
    assert table.fitting(ROWS[KEY], 0.5e9) == 0


def test_the_least_time_of_a_step_is_that_of_its_traffic_or_of_its_arithmetic():
    h100 = parse("h100").target
    assert forecast.least_seconds(ONE, h100, "float32") == pytest.approx(4e9 / 3.35232e12)
    assert forecast.least_seconds(ONE._replace(flops=1e12), h100, "float32") == pytest.approx(1e12 / 66.9e12)


@pytest.mark.parametrize(
    ("device", "precision", "activations", "peak"),
    [
        ("h100", "float32", "float32", "float32"),
        ("h100", "bfloat16", "float32", "tf32"),
        ("h100", "float32", "bfloat16", "bfloat16"),
        ("v5e", "bfloat16", "float32", "bfloat16"),
    ],
)
def test_the_peak_is_that_of_the_precision_in_which_a_device_multiplies(device, precision, activations, peak):
    config = tiny.config(train__matmul_precision=precision, train__activations=activations)
    assert forecast.precision_of(config, parse(device).target) == peak


def test_the_precision_of_products_is_another_program_on_a_tpu_alone():
    one, other = (tiny.config(model__network="", train__matmul_precision=each) for each in ("float32", "tf32"))
    assert table.key_of(one, (16, 16, 3), "h100") == table.key_of(other, (16, 16, 3), "h100") == KEY
    assert table.key_of(other, (16, 16, 3), "v5e").settings == SETTINGS + " train.matmul_precision=tf32"


def test_a_sweep_on_two_hosts_takes_as_long_as_the_host_with_more_populations():
    runs = expand("seeds:12", train__parallel=4, train__steps=3600)
    found = forecast.forecast(runs, parse("h100:16"), ROWS)
    [program] = found.programs
    assert program.row == KEY and program.populations == [4, 4, 4] and program.chips == [4, 4, 4]
    step = 4e9 / 3.35232e12  # of one run on each of four chips
    assert program.seconds == pytest.approx([step] * 3)
    assert found.hours == pytest.approx(2 * step) and found.chip_hours == pytest.approx(32 * step)
    assert program.fits == int(0.9 * 84.942979072 - 96 * 16 * 16 * 3 / 1e9)
    codes = 90 * (1 + 2 * 3 + 2 * 3) * 4  # an index, means and variances of 3 units, 3 factors in float64
    assert found.disk == 12 * (3 * sizes_of(runs).state + codes)


@pytest.mark.parametrize(
    ("count", "populations", "chips"),
    [(9, [8, 1], [8, 1]), (13, [12, 1], [6, 1]), (16, [16], [8]), (29, [16, 12, 1], [8, 6, 1])],
)
def test_no_chip_has_more_runs_than_it_holds(count, populations, chips):
    rows = {KEY: {1: ONE._replace(memory=30e9)}}
    [program] = forecast.forecast(expand(f"seeds:{count}"), parse("h100:8"), rows).programs
    assert (program.fits, program.populations, program.chips) == (2, populations, chips)


def test_the_text_says_that_nothing_is_measured_and_rounds_to_three_digits():
    runs = expand("seeds:12", train__parallel=4, train__steps=3600)
    text = dry_run.on_devices(forecast.forecast(runs, parse("h100:16"), ROWS))
    assert text.startswith("On 16 x NVIDIA H100 80GB HBM3 (2 hosts), as compiled and not measured")
    assert "a chip holds 76 runs, as compiled for 1 and 10 runs" in text
    assert "at most 838 steps/s of 4 runs on 4 chips" in text
    assert "at least 0.00239 h, 0.0382 chip-hours" in text


def test_a_program_that_the_table_lacks_is_named_with_the_nearest_row_and_nothing_is_guessed():
    runs = expand("method.name=vlae,nvae", train__parallel=4)
    found = forecast.forecast(runs, parse("h100"), ROWS)
    text = dry_run.on_devices(found)
    assert [each.row for each in found.programs] == [KEY, None]  # vlae trains in the program of scale_vlae
    assert f"the table has no such program; the nearest is {KEY}; --compile adds this one" in text
    assert "for 1 run alone" in text
    other = dry_run.on_devices(forecast.forecast(runs, parse("v5e"), ROWS))
    assert f"the nearest is {KEY}" in other and "at least" not in other


def test_a_method_whose_state_has_the_same_bytes_takes_the_rows_of_another_and_says_so():
    runs = expand(method__name="vae", train__parallel=4)
    state, flat = sizes_of(runs).state, KEY._replace(method="beta_tcvae", levels=1)
    alike, other = {1: ONE._replace(state=state + 8)}, {1: ONE._replace(state=state + 1000)}
    found = forecast.forecast(runs, parse("h100"), {flat: alike})
    assert found.programs[0].row == flat
    assert "taken from beta_tcvae, whose runs have a state of the same size" in dry_run.on_devices(found)
    assert forecast.forecast(runs, parse("h100"), {flat: other}).programs[0].row is None


def test_a_run_that_no_chip_holds_is_a_sentence():
    rows = {KEY: {1: ONE._replace(memory=80e9)}}
    with pytest.raises(UserError, match="--device: h100 holds no run of scale_vlae; take a smaller train.batch"):
        forecast.forecast(expand("seeds:2"), parse("h100"), rows)


def test_rows_are_written_sorted_and_read_back_and_a_new_one_replaces_the_old(tmp_path):
    file, late = tmp_path / "rows.csv", KEY._replace(device="v5e")
    for key, costs in ((late, {1: ONE}), (KEY, {10: TEN, 1: ONE}), (KEY, {1: ONE._replace(touched=5e9)})):
        table.add(file, key, costs)
    assert table.load(file) == {KEY: {1: ONE._replace(touched=5e9), 10: TEN}, late: {1: ONE}}
    names = [line.split(",")[0] + line.split(",")[5] for line in file.read_text().splitlines()]
    assert names == ["deviceruns", "h1001", "h10010", "v5e1"]


def test_a_row_of_the_user_comes_before_that_of_the_package(tmp_path):
    table.add(tmp_path / "package.csv", KEY, {1: ONE})
    table.add(tmp_path / "own.csv", KEY, {1: TEN})
    assert table.load(tmp_path / "package.csv", tmp_path / "own.csv")[KEY] == {1: TEN}


def test_what_the_table_lacks_is_compiled_once_into_the_users_own_file(tmp_path, monkeypatch):
    asked = []

    def step(config, images, kind, runs):
        asked.append((kind, runs))
        product = hlo.Arithmetic("dot", runs * 10**9)
        found = hlo.Program((product,), 0, 0, True, runs * 4 * 10**9, {"fusion": 100}, runs * 10**8, runs * 10**7)
        return tiny.population([config] * runs, tiny.dataset()), found

    monkeypatch.setattr(programs, "step", step)
    monkeypatch.setattr(table, "FILE", tmp_path / "none.csv")
    monkeypatch.setattr(table, "OWN", tmp_path / "own.csv")
    runs = expand("seeds:2")
    for _ in range(2):
        forecast.complete(runs, "h100")
    assert asked == [("h100", 1), ("h100", 16)]
    assert table.load()[KEY][16] == Cost(16e9, 64e9, 1.76e9, 100, sizes_of(runs).state)


def test_the_tables_of_the_docs_are_those_that_the_command_wrote():
    written = (ROOT / "experiments/results/plans.md").read_text().partition("\n")[2].strip()
    assert written.count("\n") > 20 and written in (ROOT / "docs/scale.md").read_text()


def test_the_packages_table_holds_the_papers_networks_at_two_widths():
    rows = table.load(table.FILE)
    for device, settings in (("h100", ""), ("v5e", "train.matmul_precision=bfloat16")):
        widths = rows[Key(device, "scale_vlae", "64x64x3", 4, settings)]
        assert len(widths) >= 2 and all(cost.flops < 1.15 * 8.61e9 * runs for runs, cost in widths.items())


def test_the_command_plans_and_says_what_compiles_and_what_its_flags_need(tmp_path):
    arguments = ("--config=tests/tiny_config.py", f"--workdir={tmp_path}/new")
    done = tiny.command(*arguments, "--dry_run", "--device=v5e:8")
    assert done.returncode == 0 and "On 8 x TPU v5e (2 hosts), as compiled and not measured" in done.stdout
    assert "--device: v5e is planned for" in tiny.command(*arguments, "--device=v5e").stderr
    assert "--compile: it needs the devices" in tiny.command(*arguments, "--dry_run", "--compile").stderr
    assert "--device: 'h1000' is unknown" in tiny.command(*arguments, "--dry_run", "--device=h1000").stderr

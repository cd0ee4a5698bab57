import jax
import numpy as np
import pytest

from scaledis import population
from scaledis.methods.penalty import by_level
from tests import tiny
from tests.methods import arrays, config, flat, inference, of_weights, one_update

DATASET = tiny.dataset()
SEEN = inference()


def nats(name, weights, seen=SEEN, parts_of=by_level, **overrides):
    return float(of_weights(config(name, **overrides), weights, seen, parts_of)[0])


def terms_of(seen=SEEN):
    """The terms of the plain ladder, which weighs none of the dependences."""
    return {key: float(value) for key, value in of_weights(config("vlae"), tc.scale_aware, seen)[1].items()}


def kl(seen=SEEN):
    return float(seen.kl.sum(1).mean())


def test_beta_one_and_gamma_zero_is_the_vlae():
    ours = nats("scale_vlae", tc.scale_aware, method__beta=1.0, method__gamma=0.0)
    assert ours == nats("vlae", tc.scale_aware) == pytest.approx(kl(), rel=1e-6)


def test_equal_betas_and_gamma_beta_minus_one_is_the_vlae_plus_flat_beta_tcvae():
    ours = nats("scale_vlae", tc.scale_aware, method__beta=5.0, method__gamma=4.0)
    assert ours == pytest.approx(nats("beta_tcvae", tc.flat_total_correlation, flat(SEEN), method__beta=5.0), rel=1e-5)


def test_total_correlation_of_all_units_is_that_of_by_level_plus_inter():
    levels, whole = terms_of(), of_weights(config("beta_tcvae"), tc.flat_total_correlation, flat(SEEN))[1]
    parts = sum(levels[f"total_correlation_level{level}_nats"] for level in (1, 2, 3)) + levels["inter_nats"]
    assert float(whole["total_correlation_level1_nats"]) == pytest.approx(parts, rel=1e-5)


def test_each_level_has_its_own_beta():
    plain = terms_of()
    ours = nats("scale_vlae", tc.scale_aware, method__beta=(2.0, 4.0, 7.0), method__gamma=0.5)
    intra = [plain[f"total_correlation_level{level}_nats"] for level in (3, 2, 1)]
    penalty = 1 * intra[0] + 3 * intra[1] + 6 * intra[2] + 0.5 * plain["inter_nats"]
    assert ours - kl() == pytest.approx(penalty, rel=1e-4)


def test_beta_tcvae_is_the_scale_aware_ladder_of_one_level_network_included():
    overrides = {"model__parameters": 6000, "objective__kl_warmup": 10.0}
    ladder = tiny.config(model__allocation=(3,), method__beta=6.0, **overrides)
    one, other = (
        one_update(each, DATASET)[1] for each in (ladder, tiny.config(method__name="beta_tcvae", **overrides))
    )
    for name in other:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-6, err_msg=name)


def test_alpha_zero_is_the_vae_and_the_published_coefficients():
    assert nats("alpha_tcvae", tc.convex_mix, flat(SEEN), method__alpha=0.0) == pytest.approx(kl(), rel=1e-6)
    for alpha, information, bound in [(0.25, 0.2564, 0.7692), (0.5, 0.5263, 0.5263), (0.75, 0.8108, 0.2703)]:
        assert tc.mix(alpha, 10) == pytest.approx((information, bound), abs=5e-5)
    found = arrays(config("alpha_tcvae", allocation=(10,), method__alpha=0.25))
    assert (found["mutual_information"], found["kl"]) == pytest.approx((0.2564, 0.7692), abs=5e-5)


def test_the_two_readings_of_alpha_tcvae():
    whole = of_weights(config("beta_tcvae"), tc.flat_total_correlation, flat(SEEN))[1]
    information, dimension_wise = (
        float(whole[f"{name}_level1_nats"]) for name in ("mutual_information", "dimension_wise")
    )
    a, b = tc.mix(0.25, 6)
    assert nats("alpha_tcvae", tc.convex_mix, flat(SEEN)) == pytest.approx(a * information + b * kl(), rel=1e-5)
    code = nats("alpha_tcvae", tc.convex_mix, flat(SEEN), method__reading="code")
    assert code == pytest.approx(a * information + b * dimension_wise, rel=1e-5)


def test_the_mix_along_a_ladder_has_the_units_of_each_level():
    plain = terms_of()
    ours = nats("scale_vlae", tc.scale_aware, method__alpha=(0.5, 0.25, 0.0), method__beta=1.0, method__gamma=0.0)
    expected = plain["kl_level1_nats"]
    for level, alpha, units in [(3, 0.5, 3), (2, 0.25, 2)]:
        a, b = tc.mix(alpha, units)
        expected += a * plain[f"mutual_information_level{level}_nats"] + b * plain[f"kl_level{level}_nats"]
    assert ours == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ValueError, match="method.alpha: 1.0 must be below 1 on a level of one unit"):
        config("scale_vlae", method__alpha=1.0)


def granular(block, within="free", **overrides):
    return nats(
        "beta_stcvae",
        tc.between_blocks,
        flat(SEEN),
        tc._blocks,
        method__block=block,
        method__within=within,
        **overrides,
    )


def test_blocks_of_one_unit_are_the_beta_tcvae():
    assert granular(1, method__beta=4.0) == pytest.approx(
        nats("beta_tcvae", tc.flat_total_correlation, flat(SEEN), method__beta=4.0), rel=1e-6
    )


def test_one_block_of_all_units_leaves_the_kl_minus_the_total_correlation():
    whole = of_weights(config("beta_tcvae"), tc.flat_total_correlation, flat(SEEN))[1]
    assert granular(6) == pytest.approx(kl() - float(whole["total_correlation_level1_nats"]), rel=1e-5)


def test_the_last_block_is_what_is_left():
    """Blocks of 4 among 6 units are a ladder of 4 and 2 units without a penalty within, but for its name."""
    ladder = of_weights(config("vlae", (4, 2)), tc.scale_aware, inference((4, 2)))[1]
    within = sum(float(ladder[f"total_correlation_level{level}_nats"]) for level in (1, 2))
    expected = kl() - within + 4 * float(ladder["inter_nats"])
    assert granular(4) == pytest.approx(expected, rel=1e-5)
    rewarded = kl() - (1 + 5 / 2) * within + 4 * float(ladder["inter_nats"])
    assert granular(4, within="rewarded") == pytest.approx(rewarded, rel=1e-5)


def test_a_granularity_that_does_not_exist_names_those_that_do():
    assert granular(1, method__granularity=0.5) == granular(3)
    with pytest.raises(ValueError, match=r"method.granularity: 0.4 .* 0.167 \(blocks of 1\), 0.333 \(blocks of 2\)"):
        config("beta_stcvae", method__granularity=0.4)
    for block in (7, 2.5):
        with pytest.raises(ValueError, match=f"method.block: {block} must be a whole number from 1 to 6"):
            config("beta_stcvae", method__block=block)
    with pytest.raises(ValueError, match="method.within: 'fre' is unknown. Did you mean 'free'"):
        config("beta_stcvae", method__within="fre")


def test_the_kl_and_its_penalties_are_warmed_up_together():
    for step in (0, 7):
        found = one_update(tiny.config(objective__kl_warmup=10.0), DATASET, step)[1]
        weight = 1 - np.exp(-step / 10)
        assert float(found["kl_weight"]) == pytest.approx(weight, abs=1e-6)
        whole = found["reconstruction_nats"] + weight * found["regularization_nats"]
        assert float(found["loss_nats"]) == pytest.approx(float(whole), rel=1e-6)


def test_levels_are_named_from_the_bottom_and_listed_from_the_top():
    config = tiny.config(model__allocation=(2, 1))
    method = population.build([config], DATASET)
    state = jax.jit(method.init)(jax.random.key(0), population.hyperparameters(config, (2, 1)))
    codes = method.encode(state, DATASET.images(np.arange(8)))
    np.testing.assert_array_equal(codes.levels, [0, 0, 1])
    found = jax.jit(method.update)(state, DATASET.images(np.arange(8)), jax.random.key(0))[1]
    kl = 0.5 * (codes.mean**2 + np.exp(codes.log_variance) - 1 - codes.log_variance).mean(0)
    np.testing.assert_allclose(found["kl_level2_nats"], kl[:2].sum(), rtol=1e-4)
    np.testing.assert_allclose(found["kl_level1_nats"], kl[2], rtol=1e-4)


def test_a_schedule_drives_beta_and_gamma():
    still = one_update(tiny.config(method__beta=3.0, method__gamma=2.0, objective__kl_warmup=0.0), DATASET, step=5)[1]
    driven = tiny.config(
        method__beta=6.0,
        method__gamma=8.0,
        objective__kl_warmup=0.0,
        schedule__beta="warmup:10",
        schedule__gamma="warmup:20",
    )
    driven = one_update(driven, DATASET, step=5)[1]
    np.testing.assert_allclose(driven["loss_nats"], still["loss_nats"], rtol=1e-6)


def test_hyperparameters_are_checked():
    for overrides, message in [
        ({"method__beta": (1.0, 2.0)}, r"method.beta: .* has 2 values, but model.allocation has 3 levels"),
        ({"method__beta": -1.0}, "method.beta: -1.0 must be a finite number of at least 0"),
        ({"method__gamma": float("nan")}, "method.gamma: nan"),
        ({"method__gamma": (1.0, 2.0, 3.0)}, "method.gamma: .* must be one number"),
        ({"method__alpha": 1.5}, "method.alpha: 1.5 must be a finite number of at least 0 and at most 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            config("scale_vlae", **overrides)

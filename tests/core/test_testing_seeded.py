"""Values made from names never change, and fingerprints notice what does."""

from __future__ import annotations

import numpy as np
import pytest

from dovetail.testing import seeded

FROZEN = [1.336097240447998, -0.4287746846675873, 1.1142240762710571, 0.8207525014877319]


def test_noise_is_fixed_for_ever():
    values = seeded.noise("model.norm.weight", (4,))
    assert values.dtype == np.float32
    assert values.tolist() == FROZEN


def test_noise_depends_on_the_name_alone():
    assert np.array_equal(seeded.noise("a", (6,)).reshape(2, 3), seeded.noise("a", (2, 3)))
    assert not np.array_equal(seeded.noise("a", (6,)), seeded.noise("b", (6,)))


def test_noise_has_the_asked_mean_and_deviation():
    values = seeded.noise("many", (100_000,), 3.0, 0.5)
    assert values.mean() == pytest.approx(3.0, abs=0.01)
    assert values.std() == pytest.approx(0.5, abs=0.01)


def test_integers_cover_their_range():
    values = seeded.integers("ids", (1000,), 5, 9)
    assert set(values.tolist()) == {5, 6, 7, 8}


@pytest.mark.parametrize(
    ("name", "shape", "mean", "deviation"),
    [
        ("layer.norm.weight", (4096,), 1.0, 0.2),
        ("layer.dense.bias", (4096,), 0.0, 0.2),
        ("bn.running_var", (4096,), 1.0, 0.2),
        ("embed_tokens.weight", (64, 64), 0.0, 0.5),
        ("layer.dense.weight", (64, 64), 0.0, 0.125),
        ("stem.conv.weight", (64, 4, 4, 4), 0.0, 0.125),
    ],
)
def test_weights_have_the_scale_of_their_kind(
    name: str, shape: tuple[int, ...], mean: float, deviation: float
):
    values = seeded.weight(name, shape)
    assert values.mean() == pytest.approx(mean, abs=0.03)
    assert values.std() == pytest.approx(deviation, rel=0.1)


def test_variances_are_positive():
    assert (seeded.weight("bn.running_var", (4096,)) > 0).all()


def test_recipes_overrule_the_rules():
    values = seeded.weight("mixer.A_log", (4096,), {"A_log": (-2.0, 0.1)})
    assert values.mean() == pytest.approx(-2.0, abs=0.01)


def test_a_fingerprint_notices_one_changed_value():
    array = seeded.noise("x", (5, 40))
    print_before = seeded.fingerprint(array, "x")
    array[2, 17] += 0.05
    print_after = seeded.fingerprint(array, "x")
    assert print_before["first"] == print_after["first"]
    assert abs(print_before["projection"] - print_after["projection"]) > 1e-4


def test_a_fingerprint_notices_exchanged_rows():
    array = seeded.noise("x", (5, 40))
    exchanged = array[[0, 2, 1, 3, 4]]
    before, after = (seeded.fingerprint(value, "x") for value in (array, exchanged))
    assert before["mean"] == pytest.approx(after["mean"])
    assert abs(before["projection"] - after["projection"]) > 1e-2


def test_a_fingerprint_refuses_what_is_no_number():
    with pytest.raises(ValueError, match="logits: 1 of 3 values are no numbers"):
        seeded.fingerprint(np.array([1.0, np.nan, 2.0]), "logits")


def test_a_fingerprint_tells_infinities_apart():
    prints = [
        seeded.fingerprint(np.array(row), "boxes")["projection"]
        for row in ([1.0, np.inf], [1.0, -np.inf], [np.inf, 1.0], [1.0, 2.0])
    ]
    assert len({round(value, 2) for value in prints}) == 4


def test_arrays_of_other_sizes_become_one():
    made = seeded.together([[np.ones((1, 2)), np.ones((2, 1))], [np.full((1, 1), 3.0)]])
    assert made.tolist() == [
        [[[1, 1], [0, 0]], [[1, 0], [1, 0]]],
        [[[3, 0], [0, 0]], [[0, 0], [0, 0]]],
    ]

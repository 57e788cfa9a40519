"""Level means, differences and interactions in grids, whole and with holes."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from segbench.statistics.decide import decide
from segbench.statistics.differences import contrast
from segbench.statistics.factors import factor_view

NETWORKS, LOSSES = ("unet", "segnet", "fcn"), ("dice", "bce")


def grid(
    network: tuple[float, ...] = (0.0, 0.0, 0.0),
    loss: tuple[float, ...] = (0.0, 0.0),
    extra: dict[tuple[str, str], float] | None = None,
    seeds: int = 3,
    seed: int = 0,
) -> tuple[list[np.ndarray], list[dict[str, str]]]:
    """Returns the scores and factors of a 3 x 2 grid with these effects."""
    random = np.random.default_rng(seed)
    base = 0.3 * random.random(60)
    values, factors = [], []
    for (i, name), (j, other) in itertools.product(enumerate(NETWORKS), enumerate(LOSSES)):
        mean = 0.5 + network[i] + loss[j] + (extra or {}).get((name, other), 0.0)
        noise = 0.01 * random.standard_normal(60) + 0.002 * random.standard_normal((seeds, 1))
        values.append(base + mean + noise + 0.005 * random.standard_normal((seeds, 60)))
        factors.append({"network": name, "loss": other})
    return values, factors


def test_the_factor_that_matters_is_found_and_the_other_is_not() -> None:
    view = factor_view(*grid(loss=(0.03, 0.0)))
    network, loss = view.effects
    assert (network.factor, loss.factor) == ("network", "loss")
    assert loss.matters
    assert not network.matters
    assert (loss.largest.first, loss.largest.second) == ("dice", "bce")
    assert loss.largest.difference.value == pytest.approx(0.03, abs=0.006)
    assert not view.interactions[0].interact
    words = view.sentences()
    assert words[0].startswith("network: no difference could be shown; the largest, ")
    assert words[1].startswith("loss matters: dice minus bce is +0.0")
    assert words[2].startswith("network and loss: it could not be shown that they act on each other; the largest ")
    assert words[3].startswith("Where no difference could be shown, there may still be one that these data are too few")
    assert view.reason == ""
    assert view.left_out == ()


def test_levels_are_contrasts_over_the_grid() -> None:
    values, factors = grid(network=(0.02, 0.0, 0.01))
    view = factor_view(values, factors)
    network = view.effects[0]
    assert [level.level for level in network.levels] == ["unet", "fcn", "segnet"]
    assert network.levels[0].entries == (0, 1)
    assert network.levels[0].mean == contrast(values, [0.5, 0.5, 0, 0, 0, 0])
    expected = contrast(values, [0.5, 0.5, -0.5, -0.5, 0, 0])
    assert network.largest.difference.low == pytest.approx(expected.low)
    assert network.largest.difference.p == pytest.approx(expected.p)
    assert network.levels[0].mean.value == pytest.approx(np.mean([values[0].mean(), values[1].mean()]))
    lower = factor_view(values, factors, higher_is_better=False).effects[0]
    assert lower.levels[0].level == "segnet"
    assert lower.largest.difference.value == pytest.approx(-network.largest.difference.value)


def test_an_interaction_is_found_in_its_cell() -> None:
    view = factor_view(*grid(extra={("fcn", "bce"): -0.06}))
    interaction = view.interactions[0]
    assert interaction.interact
    assert (interaction.first, interaction.second) == ("network", "loss")
    assert {(cell.first_level) for cell in interaction.cells if cell.deviation.value < -0.015} == {"fcn"}
    # -0.06 in one cell: the cell deviates by -0.06 (1 - 1/3) (1 - 1/2).
    found = next(cell for cell in interaction.cells if (cell.first_level, cell.second_level) == ("fcn", "bce"))
    assert found.deviation.value == pytest.approx(-0.02, abs=0.004)
    assert sum(cell.deviation.value for cell in interaction.cells) == pytest.approx(0, abs=1e-12)
    assert any(words.startswith("network and loss act on each other: ") for words in view.sentences())


def test_two_by_two_is_one_hypothesis() -> None:
    values, factors = grid()
    view = factor_view(values[:4], factors[:4])
    cells = view.interactions[0].cells
    assert len(cells) == 4
    assert [cell.p_holm for cell in cells] == pytest.approx([cells[0].deviation.p] * 4)


def test_a_hole_leaves_the_largest_complete_part() -> None:
    values, factors = grid(network=(0.0, 0.0, 0.02))
    view = factor_view(values[:-1], factors[:-1])
    assert view.used == (0, 1, 2, 3)
    assert view.left_out == (4,)
    assert view.reason == (
        "1 of 5 entries are left out of the factors, since not every combination of levels is there; the largest "
        "complete part has 2 x 2."
    )
    assert view.sentences()[-1] == view.reason
    assert [level.level for level in sorted(view.effects[0].levels, key=lambda x: x.level)] == ["segnet", "unet"]


def test_one_factor_at_a_time_keeps_the_longer_line() -> None:
    values, factors = grid()
    chosen = [0, 1, 2, 4]  # unet with both losses, every network with dice
    view = factor_view([values[k] for k in chosen], [factors[k] for k in chosen])
    assert [effect.factor for effect in view.effects] == ["network"]
    assert view.used == (0, 2, 3)
    assert view.interactions == ()


def test_of_equally_large_parts_the_one_that_keeps_the_shorter_factor_whole_is_taken() -> None:
    values, factors = grid()
    chosen = [0, 2, 3, 5]  # a chain: dice twice, segnet twice, bce twice
    view = factor_view([values[k] for k in chosen], [factors[k] for k in chosen])
    assert view.used == (1, 2)  # segnet with both losses; not dice with two networks


def test_entries_of_one_cell_share_its_weight() -> None:
    values, factors = grid()
    view = factor_view([*values, values[0]], [*factors, factors[0]])
    dice = next(level for level in view.effects[1].levels if level.level == "dice")
    again = contrast([*values, values[0]], [1 / 6, 0, 1 / 3, 0, 1 / 3, 0, 1 / 6])
    assert dice.entries == (0, 2, 4, 6)
    assert dice.mean.value == pytest.approx(again.value)
    assert dice.mean.standard_error == pytest.approx(again.standard_error)


@pytest.mark.parametrize(
    ("factors", "reason"),
    [
        ([{}, {}], "No factor has two levels among these entries."),
        ([{"loss": "a"}, {"loss": "a"}], "No factor has two levels among these entries."),
        ([{"loss": "a", "net": "x"}, {"loss": "b", "net": "y"}], "No two entries differ in one factor alone."),
    ],
)
def test_why_there_is_no_view(factors: list[dict[str, str]], reason: str) -> None:
    view = factor_view(grid()[0][:2], factors)
    assert (view.effects, view.reason, view.left_out) == ((), reason, (0, 1))
    assert view.sentences() == [reason]


def test_an_entry_without_factors_is_left_out() -> None:
    values, factors = grid()
    view = factor_view([*values, values[0] + 0.01], [*factors, {}])
    assert view.left_out == (6,)
    assert len(view.effects) == 2


def test_a_grid_too_large_to_search_says_so() -> None:
    values = [np.random.default_rng(0).random((1, 5))] * 27
    factors = [{"a": str(n), "b": str(n // 2), "c": str(n % 13)} for n in range(27)]
    assert "too many levels to look for a complete part" in factor_view(values, factors).reason


def test_one_seed_is_said_and_plain_values_survive_json() -> None:
    view = factor_view(*grid(seeds=1))
    assert view.speaks_of == "these trained weights"
    assert "With one seed an entry this speaks of these trained weights, not of the networks." in view.sentences()
    plain = json.loads(json.dumps(view.to_dict(), allow_nan=False))
    assert plain["effects"][1]["largest"]["difference"]["low"] == view.effects[1].largest.difference.low


def test_factors_of_other_entries_are_refused() -> None:
    values, factors = grid()
    with pytest.raises(ValueError, match="expected the factors of 6 entries, got those of 5"):
        factor_view(values, factors[:-1])


def test_equal_levels_are_rarely_called_different() -> None:
    views = [factor_view(*grid(seed=seed)) for seed in range(300)]
    for index in range(2):
        assert np.mean([view.effects[index].matters for view in views]) < 0.09
    assert np.mean([view.interactions[0].interact for view in views]) < 0.09


def test_a_factor_whose_levels_are_the_entries_says_what_the_verdict_says() -> None:
    drawn = np.random.default_rng(4)
    told = []
    for _ in range(60):
        seeds = np.array([0.002, 0.02])[:, None, None] * drawn.standard_normal((2, 3, 1))
        values = list(0.8 + np.array([0.03, 0.0])[:, None, None] + seeds + 0.04 * drawn.standard_normal((2, 3, 40)))
        effect = factor_view(values, [{"network": "a"}, {"network": "b"}]).effects[0]
        pair = decide(["a", "b"], values).pair(*((0, 1) if effect.largest.first == "a" else (1, 0)))
        assert effect.largest.difference == pair.difference
        told.append((effect.matters, pair.significant))
    assert all(matters == significant for matters, significant in told)
    assert len(set(told)) == 2


def test_a_later_look_tests_factors_at_its_own_level() -> None:
    values, factors = grid(loss=(0.03, 0.0))
    effect = factor_view(values, factors).effects[1]
    assert effect.matters
    stricter = factor_view(values, factors, alpha=effect.largest.p_holm / 2).effects[1]
    assert not stricter.matters
    assert stricter.largest.difference == effect.largest.difference


def test_a_collapsed_training_widens_no_other_level() -> None:
    values, factors = grid()
    values[0] = values[0].copy()
    values[0][2] = 0.3
    pooled = factor_view(values, factors).effects[0].levels
    apart = factor_view(values, factors, collapsed=[1, 0, 0, 0, 0, 0]).effects[0].levels
    width = {each.level: each.mean.high - each.mean.low for each in apart}
    assert width["fcn"] <= next(each.mean.high - each.mean.low for each in pooled if each.level == "fcn")
    assert width["unet"] > width["fcn"]


def test_what_is_not_shown_stands_beside_an_interval_that_holds_0() -> None:
    told = []
    for seed in range(60):
        view = factor_view(*grid(network=(0.004, 0.0, 0.002), seed=seed))
        effect = view.effects[0]
        for pair in effect.differences:
            holds_0 = pair.agreeing.low <= 0.0 <= pair.agreeing.high
            assert holds_0 or pair.significant
            assert pair.agreeing.p == pair.difference.p
        if effect.matters or effect.largest.difference.p > 0.05:
            continue
        words = view.sentences()[0]
        assert "no difference could be shown" in words
        assert words.endswith(", both corrected for the number of comparisons.")
        assert "[\u2212" in words
        told.append(effect)
    assert told, "no factor whose plain interval leaves out 0 though nothing is shown"
    assert all(effect.largest.agreeing.level == pytest.approx(1 - 0.05 / 3) for effect in told)


def test_a_factor_that_varies_alone_is_not_averaged_over_anything() -> None:
    values, factors = grid(network=(0.05, 0.0, 0.0))
    alone = factor_view(values[::2], [{"network": each["network"]} for each in factors[::2]])
    assert alone.effects[0].matters
    assert "averaged" not in alone.sentences()[0]
    both = factor_view(values, factors)
    assert "averaged over everything else that varies" in both.sentences()[0]

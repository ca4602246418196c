"""Schedules judged by laws of their areas; the areas are small sums."""

import dataclasses

import numpy as np
import pytest
from planted import Terms, planted

from cptlab.decisions.recommend import recommend
from cptlab.decisions.roles import roles
from cptlab.decisions.schedule import Schedule
from cptlab.errors import UserError

GRID = {"lr_area": (0.0, 0.5, 1.0), "anneal_area": (0.0, 0.5, 1.0)}


def areas(domain, start, per_area, per_anneal, **options):
    """L = start + per_area S1 + per_anneal S2."""
    law = Terms(
        terms=[lambda c: np.ones_like(c["lr_area"]), lambda c: c["lr_area"], lambda c: c["anneal_area"]],
        inputs=("lr_area", "anneal_area"),
    )
    return planted(law, (start, per_area, per_anneal), GRID, domain=domain, protocols=("ratio",), tokens=1e5,
                   tokens_per_step=1e3, base_loss=2.0, **options)  # fmt: skip


def test_the_most_annealed_schedule_wins_where_annealing_alone_pays():
    """100 steps at 1e-2, lambda -> 1: linear falls by 1e-2 in even steps, a WSD of 20 % in its last 20 steps."""
    fits = {"law": areas("law", 3, 0, -1), "general": areas("general", 2, 0, 0)}
    question = Schedule(
        general="general", schedules=["constant", "wsd", "linear"], peak_lrs=[1e-2], anneal_decay=1 - 1e-12
    )
    found = recommend(fits, question)
    assert found.choice["schedule"] == "linear"
    best = found.table[0]
    # S2 = sum over drops k of 1e-4 x (100 - k + 1), k = 2..100: 1e-4 (1 + ... + 99) = .495, weighted loss 3 + 2 - .495
    np.testing.assert_allclose(best["weighted_loss"], 5 - 0.495, atol=0.006)
    assert [row["schedule"] for row in found.table] == ["linear", "wsd", "constant"]
    assert found.verdict == "run", found.because


def test_the_peak_lr_is_as_large_as_the_cap_on_forgetting_allows():
    """Constant LR, 100 steps: S1 = 100 lr. General 2 + .6 S1 <= 2.06 at S1 = .1, lr = 1e-3."""
    fits = {"law": areas("law", 3, -1, 0), "general": areas("general", 2, 0.6, 0)}
    question = Schedule(
        general="general",
        schedules=["constant"],
        peak_lrs=[1e-4, 5e-4, 2e-3, 5e-3],
        general_weight=0,
        max_general_rise=0.03,
    )
    found = recommend(fits, question)
    np.testing.assert_allclose(found.choice["peak_lr"], 1e-3, rtol=1e-6)  # between two listed ones
    assert "the cap on the general loss" in found.binding
    assert found.choice["schedule"] == "constant"
    np.testing.assert_allclose(found.interval["peak_lr"], 1e-3)  # the draws have no spread
    assert any(run["lr_schedule"] == "constant" for run in found.next_runs)


def test_of_three_corpora_the_general_one_is_that_of_the_record():
    """No share tells them apart: neither mixture held dots or prose."""
    fits = {"dots": areas("dots", 2, 0, 0), "law": areas("law", 3, 0, -1), "prose": areas("prose", 2, 0.6, 0)}
    question = Schedule(domain="law", schedules=["constant", "linear"], peak_lrs=[1e-2])
    with pytest.raises(UserError, match=r"give question\.general=dots"):
        recommend(fits, question)
    told = {name: named(fit, "prose") for name, fit in fits.items()}
    assert recommend(told, question).question["general"] == "prose"
    assert roles(told, Schedule(domain="law", general="dots")) == ("dots", "law")
    for disagree in (told | {"law": fits["law"]}, told | {"law": named(fits["law"], "dots")}):
        with pytest.raises(UserError, match=r"give question\.general=dots"):
            roles(disagree, question)
    with pytest.raises(UserError, match=r"give question\.general=dots"):
        roles(told, Schedule(domain="prose"))  # the question turns the roles round


def named(fit, general):
    """A fit of rows whose records name the general corpus."""
    return dataclasses.replace(fit, observations=dataclasses.replace(fit.observations, general=general))


def test_draws_that_choose_another_schedule_are_a_reason_to_measure():
    """The slope of S2 in the draws runs over -1 .. 1: half of them prefer no annealing."""
    fit = areas("law", 3, 0, -1)
    draws = np.tile(fit.theta, (40, 1))
    draws[:, 2] = np.linspace(-1, 1, 40)
    import dataclasses

    found = recommend(
        {"law": dataclasses.replace(fit, draws=draws)},
        Schedule(schedules=["constant", "linear"], peak_lrs=[1e-2], general_weight=0),
    )
    assert found.choice["schedule"] == "linear"
    assert found.verdict == "measure_first"
    assert "nly 50% of the draws choose schedule linear" in found.because


def test_the_loss_potential_enters_by_the_areas_of_the_base():
    law = Terms(
        terms=[lambda c: np.ones_like(c["lr_area"]), lambda c: c["base_anneal_area"], lambda c: c["lr_area"]],
        inputs=("base_lr_area", "base_anneal_area", "lr_area"),
    )
    grid = {"base_anneal_area": (0.0, 1.0), "base_lr_area": (1.0, 2.0), "lr_area": (0.0, 1.0)}
    fit = planted(law, (3, 1, 0), grid, protocols=("ratio",), tokens=1e5, tokens_per_step=1e3)
    question = Schedule(
        schedules=["constant"], peak_lrs=[1e-3], general_weight=0, potentials=[0.0, 0.5, 1.0], base_peak_lr=1e-2,
        base_tokens=2e5,
    )  # fmt: skip
    found = recommend({"law": fit}, question)
    assert found.choice["potential"] == 1.0  # a base that was not annealed has S2 = 0
    np.testing.assert_allclose(found.predicted["law"][1], 3.0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"schedules": ["cosin"]}, r"question\.schedules: cosin is no lr_schedule\. Did you mean cosine"),
        ({"schedules": []}, r"question\.schedules is empty"),
        ({"peak_lrs": ["a"]}, r"question\.peak_lrs is \['a'\]; it must be a list of numbers"),
        ({"domain_shares": [1.5]}, r"question\.domain_shares is \[1\.5\]"),
        ({"potentials": [0.1]}, r"question\.potentials needs question\.base_peak_lr"),
        ({"anneal_decay": 1}, r"question\.anneal_decay is 1"),
        ({"lengths": [10]}, "has no step of 1000 tokens"),
    ],
)
def test_impossible_schedules_are_refused(fields, message):
    with pytest.raises(UserError, match=message):
        recommend({"law": areas("law", 3, 0, -1)}, Schedule(**({"peak_lrs": [1e-3], "general_weight": 0} | fields)))


def test_a_law_without_areas_cannot_tell_schedules_apart():
    from planted import share_line

    with pytest.raises(UserError, match="does not read lr_area, so schedules are all one to it"):
        recommend({"law": share_line("law", 4, -1)}, Schedule(general_weight=0, peak_lrs=[1e-3]))

"""Every question on fits whose answer is a closed form; the arithmetic stands beside each."""

import numpy as np
import pytest
from planted import GRID, HOFFMANN, SHARES, Terms, chinchilla, dcpt, falling, general, planted, share_line

from cptlab.decisions.compute_optimal import ComputeOptimal
from cptlab.decisions.critical_ratio import CriticalRatio
from cptlab.decisions.limited_domain_tokens import LimitedDomainTokens
from cptlab.decisions.lr_and_ratio import LRAndRatio
from cptlab.decisions.reach_target import ReachTarget
from cptlab.decisions.recommend import recommend
from cptlab.decisions.tradeoff import Tradeoff
from cptlab.decisions.what_if import WhatIf
from cptlab.errors import UserError
from cptlab.laws.almr_lr import AlmrLr

# ---------------------------------------------------------------- critical ratio


def logs(domain, per_log, per_share_log):
    """L = 3 + (per_log + per_share_log x domain share) log D / 100."""
    own = (lambda c: c["share"]) if domain == "law" else (lambda c: 1 - c["share"])
    law = Terms(
        terms=[lambda c: 3 + 0 * c["share"], lambda c: np.log(c["tokens"]) / 100,
               lambda c: own(c) * np.log(c["tokens"]) / 100],
        inputs=("tokens", "share"),
    )  # fmt: skip
    return planted(law, (1, per_log, per_share_log), GRID, domain=domain, base_loss=3.0)


def test_the_tolerance_alone_bounds_the_critical_ratio_where_no_lambda_is_named():
    fits = {"law": share_line("law", 4, -1), "general": general()}
    found = recommend(fits, CriticalRatio(tolerance=0.05))  # 2 + .2 r = 2.05
    np.testing.assert_allclose(found.choice["domain_share"], 0.25)
    assert found.binding.startswith("the tolerance on the general loss (tolerance=0.05 nat above its base loss) binds")
    assert found.verdict == "run", found.because


def test_the_exchange_bounds_the_critical_ratio():
    """d L_dom / dlog T = -1, d L_gen / dlog T = 4 r - .5 (x .01): -1 + 2 (4 r - .5) <= 0 up to r = .25."""
    fits = {"law": logs("law", -1, 0), "general": logs("general", -0.5, 4)}
    found = recommend(fits, CriticalRatio(tolerance=10, lam=2))
    np.testing.assert_allclose(found.choice["domain_share"], 0.25, atol=1e-6)
    assert "the exchange (lam=2) binds" in found.binding


def test_a_larger_tolerance_never_lowers_the_critical_ratio():
    fits = {"law": share_line("law", 4, -1), "general": general()}
    chosen = [recommend(fits, CriticalRatio(tolerance=t)).choice["domain_share"] for t in (0.01, 0.05, 0.1, 0.5)]
    np.testing.assert_allclose(chosen, [0.05, 0.25, 0.5, 1.0], atol=1e-9)


# ---------------------------------------------------------------- learning rate and ratio


def bowl(domain, share, lr):
    """L = 2 + (r - share)^2 + .1 log(lr / best)^2, r the domain share."""
    own = (lambda c: c["share"]) if domain == "law" else (lambda c: 1 - c["share"])
    law = Terms(
        terms=[lambda c: 2 + 0 * c["share"], lambda c: (own(c) - share) ** 2,
               lambda c: np.log(c["peak_lr"] / lr) ** 2],
        inputs=("share", "peak_lr", "domain_share"),
    )  # fmt: skip
    grid = {"domain_share": SHARES, "peak_lr": (1e-4, 3e-4, 1e-3)}
    return planted(law, (1, 1, 0.1), grid, domain=domain, base_loss=2.0)


def test_learning_rate_and_ratio_find_the_bottom_of_the_weighted_bowls():
    """Weights 1 and 3 of bowls at (.8, 2e-4) and (.4, 4e-4): r = .5, log lr = (log 2e-4 + 3 log 4e-4) / 4."""
    fits = {"law": bowl("law", 0.8, 2e-4), "general": bowl("general", 0.4, 4e-4)}
    found = recommend(fits, LRAndRatio(domain_weight=1, general_weight=3))
    np.testing.assert_allclose(found.choice["domain_share"], 0.5, atol=1e-6)
    np.testing.assert_allclose(found.choice["peak_lr"], (2e-4 * 4e-4**3) ** 0.25, rtol=1e-6)
    assert found.verdict == "run", found.because


def test_the_domain_alone_is_stopped_by_the_cap():
    """General: (r - .4)^2 + .1 log(...)^2 <= .06 of 2; domain best at r = .8 and the same LR: r = .4 + sqrt(.06)."""
    fits = {"law": bowl("law", 0.8, 3e-4), "general": bowl("general", 0.4, 3e-4)}
    found = recommend(fits, LRAndRatio(general_weight=0, max_general_rise=0.03))
    np.testing.assert_allclose(found.choice["domain_share"], 0.4 + 0.06**0.5, atol=0.005)
    np.testing.assert_allclose(found.choice["peak_lr"], 3e-4, rtol=0.05)
    assert "the cap on the general loss" in found.binding


def test_the_response_surface_of_the_law_is_asked_inside_its_open_interval():
    """x = logit r, z = log(lr / 1e-5): 2 + x^2 + (z - log 30)^2, lowest at r = .5, lr = 3e-4."""
    z = np.log(30)
    grid = {"domain_share": (0.1, 0.3, 0.5, 0.7, 0.9), "peak_lr": (1e-4, 3e-4, 1e-3)}
    fit = planted(AlmrLr(), (2 + z**2, 0, -2 * z, 1, 0, 1), grid)
    found = recommend({"law": fit}, LRAndRatio(general_weight=0))
    np.testing.assert_allclose(found.choice["domain_share"], 0.5, atol=1e-3)
    np.testing.assert_allclose(found.choice["peak_lr"], 3e-4, rtol=1e-3)


def test_a_law_without_learning_rate_is_named():
    with pytest.raises(UserError, match="law=dcpt does not read peak_lr, so no LR can be chosen"):
        recommend({"law": dcpt()[0]}, LRAndRatio(general_weight=0))


# ---------------------------------------------------------------- what if


def test_points_are_predicted_with_their_intervals():
    fits = {"law": share_line("law", 4, -1, spread=0.01), "general": general()}
    found = recommend(fits, WhatIf(points=[{"domain_share": 0.3}, {"domain_share": 0.5, "tokens": 1e8}]))
    assert found.verdict == "run", found.because
    assert found.choice == {}
    first, second = found.table
    np.testing.assert_allclose([first["law"], first["general"]], [3.7, 2.06])
    np.testing.assert_allclose(
        [second["law_low"], second["law_high"]], [3.5 * (1 - 0.009), 3.5 * (1 + 0.009)], rtol=1e-3
    )
    assert found.to_json()["table"][1]["tokens"] == 1e8


def test_a_point_outside_the_measured_range_is_named_by_its_number():
    found = recommend({"law": falling()}, WhatIf(points=[{"domain_share": 0.5}, {"domain_share": 0.5, "tokens": 5e11}]))
    assert found.verdict == "measure_first"
    assert "oint 2: tokens 5e+11 is 500x the largest measured 1e+09, farther than 10x" in found.because


def test_points_are_read_from_a_csv_file(tmp_path):
    (tmp_path / "points.csv").write_text("share_law,tokens\n0.3,1e8\n0.5,\n")
    found = recommend({"law": falling(), "general": general()}, WhatIf(path=str(tmp_path / "points.csv")))
    np.testing.assert_allclose([row["law"] for row in found.table], [3.7 + 0.1, 3.5 + 1000 / 1e9**0.5])


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LimitedDomainTokens(), r"question\.domain_tokens is 0; give the number"),
        (lambda: LimitedDomainTokens(domain_tokens=1e6, tokens=1e7), r"question\.tokens follows from domain_tokens"),
        (lambda: LimitedDomainTokens(domain_tokens=1e6, max_tokens=-1), r"question\.max_tokens is -1"),
        (lambda: ComputeOptimal(), r"question\.flops is 0; give the compute"),
        (lambda: ComputeOptimal(flops=1e15, num_params=1e6), r"question\.num_params is what question=compute_optimal"),
        (lambda: ComputeOptimal(flops=1e15, domain_share=1.5), r"question\.domain_share is 1\.5"),
        (lambda: ReachTarget(), r"question\.target_loss is 0; give the domain loss"),
        (lambda: ReachTarget(target_loss=2, tokens=1e6), r"question\.tokens is what question=reach_target chooses"),
        (lambda: CriticalRatio(tolerance=-1), r"question\.tolerance is -1"),
        (lambda: CriticalRatio(lam=0), r"question\.lam is 0"),
        (lambda: LRAndRatio(domain_weight=0, general_weight=0), "are both 0"),
        (lambda: LRAndRatio(min_peak_lr=0), r"question\.min_peak_lr is 0"),
        (lambda: WhatIf(), "needs points"),
        (lambda: WhatIf(points=[{"a": 1}], path="x.csv"), "needs points"),
        (lambda: WhatIf(points={"a": 1}), r"question\.points is no list"),
        (lambda: Tradeoff(given={"peak_rl": 1e-4}), r"question\.given\.peak_rl is no column\. Did you mean peak_lr"),
        (lambda: Tradeoff(given={"peak_lr": -1}), r"question\.given\.peak_lr is -1"),
        (lambda: Tradeoff(max_interval_factor=1), r"question\.max_interval_factor is 1"),
    ],
)
def test_impossible_questions_are_refused_by_their_key(make, message):
    with pytest.raises(UserError, match=message):
        make()


@pytest.mark.parametrize(
    ("point", "message"),
    [
        (
            {"domain_shar": 0.3},
            r"point 1 of the question has domain_shar, which is no column\. Did you mean domain_share",
        ),
        ({"domain_share": 1.3}, r"point 1 of the question: domain_share is 1\.3; it must lie in \[0, 1\]"),
        ({"tokens": "many"}, r"point 1 of the question: tokens is 'many', which is no number"),
    ],
)
def test_a_point_that_makes_no_sense_is_named(point, message):
    with pytest.raises(UserError, match=message):
        recommend({"law": falling()}, WhatIf(points=[point]))


def test_a_missing_csv_of_points_is_named(tmp_path):
    with pytest.raises(UserError, match="does not exist; give a CSV file"):
        recommend({"law": falling()}, WhatIf(path=str(tmp_path / "no.csv")))


def test_a_cap_without_a_general_fit_is_refused():
    with pytest.raises(UserError, match="limits the loss of a general corpus, and only law was fitted"):
        recommend({"law": falling()}, Tradeoff())


def test_an_input_that_varies_and_that_the_question_does_not_set_is_asked_for():
    fits = {"law": bowl("law", 0.8, 2e-4), "general": bowl("general", 0.4, 4e-4)}
    with pytest.raises(
        UserError, match=r'reads peak_lr, which varies .* give it as "question\.given=\{peak_lr: 0\.001\}"'
    ):
        recommend(fits, Tradeoff())
    found = recommend(fits, Tradeoff(given={"peak_lr": 4e-4}))
    np.testing.assert_allclose(found.choice["domain_share"], 0.4 + 0.06**0.5, atol=1e-4)


def test_without_fits_there_is_nothing_to_ask():
    with pytest.raises(UserError, match="there is no fit to ask"):
        recommend({}, Tradeoff())


def test_a_point_may_set_size_and_tokens_alone():
    found = recommend(chinchilla(), WhatIf(points=[{"num_params": 1e9, "tokens": 1e10}, {}]))
    p = HOFFMANN
    expected = [p["E"] + p["A"] / N ** p["alpha"] + p["B"] / D ** p["beta"] for N, D in ((1e9, 1e10), (1e10, 1e11))]
    np.testing.assert_allclose([row["text"] for row in found.table], expected)

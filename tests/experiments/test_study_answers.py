"""The scripts of the studies of forgetting, on planted runs whose answers are worked by hand."""

import pytest
from study_scripts import answer, plant, script

T2 = 4.302652729911275  # quantile .975 of Student's t with 2 degrees of freedom


def test_the_gap_of_a_planted_v_has_its_depth_and_the_anchor_is_shallower(tmp_path):
    module = script("stability_gap")
    depth = {"prose only": 0.1, "code only": 1.0, "code, 5 ep.": 1.0, "anchor": 0.2, "anchor, 5 ep.": 0.2}
    for (variant, share), name in module.WAYS.items():
        for seed in range(3):
            top = depth[name] + 0.01 * seed

            def losses(step, top=top, name=name):
                rise = {
                    0: 0,
                    10: top / 2,
                    20: top,
                    30: 0 if name == "anchor" else top / 2,
                    40: -0.1 if name == "anchor" else top / 4,
                }
                return {"general": 2 + rise[step], "code": 3 - step / 100}

            config = {"mixture": {"variant": variant, "domain_share": share}}
            plant(tmp_path / "runs", f"{variant}{share}{seed}", seed, config, [10, 20, 30, 40], losses)
    module.main(str(tmp_path / "runs"), tmp_path)
    found = answer(tmp_path)
    anchor = found["ways"]["anchor"]["general"]
    assert anchor["depth"]["value"] == pytest.approx(0.21)
    assert (anchor["bottom_step"], anchor["recovered"], anchor["still_rising"]) == (20, 3, 0)
    assert anchor["break_even_tokens"] == 3000  # back at step 30 of 100 tokens
    assert found["ways"]["code only"]["general"]["recovered"] == 0
    assert found["ways"]["code only"]["code"]["dipped"] == 0
    shallower = found["compared"]["anchor − code only"]["prose depth"]
    assert shallower == {"value": -0.8, "low": -0.8, "high": -0.8, "seeds": 3}


def test_mer_is_compared_with_plain_replay_that_learned_as_much(tmp_path):
    """Plain replay learns .4, .8 and loses .1, .5; MER learns .6 and loses .25: .05 below the line's .3."""
    module = script("replay_mer")

    def run(name, seed, share, rate, lr, learned, lost):
        replay = (
            {"variant": "fixed", "replay_share": share}
            if rate == 1
            else {"variant": "mer", "replay_share": share, "rate": rate}
        )
        config = {"replay": replay, "optimizer": {"peak_lr": lr}}
        plant(
            tmp_path / "runs",
            f"{name}{seed}",
            seed,
            config,
            [10],
            lambda step: {"general": 2 + lost * (step > 0), "code": 3 - learned * (step > 0)},
        )

    for seed in range(3):
        for share, lost in ((0.0, 0.5), (0.25, 0.1)):
            run(f"plain{share}", seed, share, 1, 2e-3, 0.8, lost)
        run("slow", seed, 0.0, 1, 1e-3, 0.4, 0.1)
        run("mer", seed, 0.0, 0.5, 2e-3, 0.6, 0.25)
        run("beyond", seed, 0.25, 0.1, 2e-3, 0.9, 0.25)
    module.main(str(tmp_path / "runs"), tmp_path)
    found = answer(tmp_path)
    assert found["replay_curve"]["25%"]["removed"]["value"] == pytest.approx(0.8)  # 1 - .1 / .5
    assert found["replay_curve"]["25%"]["published_removed"] == pytest.approx((3.56 - 2.33) / (3.56 - 2.17), abs=1e-3)
    mer = found["ways"]["replay 0%, epsilon 0.5, LR 0.002"]
    assert mer["prose_minus_plain_at_same_learned"]["value"] == pytest.approx(-0.05)
    beyond = found["ways"]["replay 25%, epsilon 0.1, LR 0.002"]
    assert (beyond["prose_minus_plain_at_same_learned"], beyond["seeds_inside_the_family"]) == (None, 0)


def test_the_best_height_keeps_the_cap_and_an_interval_across_it_says_perhaps(tmp_path):
    module = script("lr_rewarm")
    ends = {  # share, LR, length -> learned on code, rise on prose; the base has 2 on prose, so the cap is .1
        (0.0, 1e-3, 40): (0.2, 0.2), (0.0, 1e-2, 40): (0.5, 0.9),
        (0.25, 1e-3, 40): (0.2, 0.05), (0.25, 1e-2, 40): (0.4, 0.08), (0.25, 1e-2, 0): (0.41, 0.07),
    }  # fmt: skip
    for number, ((share, lr, length), (learned, rise)) in enumerate(ends.items()):
        for seed in range(3):
            config = {
                "replay": {"replay_share": share},
                "optimizer": {"peak_lr": lr},
                "lr_schedule": {"warmup_tokens": length},
            }
            worse = rise + (seed - 1) * 0.02
            plant(
                tmp_path / "runs",
                f"r{number}{seed}",
                seed,
                config,
                [10],
                lambda step, a=learned, b=worse: {"general": 2 + b * (step > 0), "code": 3 - a * (step > 0)},
            )
    module.main(str(tmp_path / "runs"), tmp_path)
    found = answer(tmp_path)
    assert found["cap_nat"] == pytest.approx(0.1)
    assert found["by_replay"]["0%"]["best_under_cap"] is None
    best = found["by_replay"]["25%"]["best_under_cap"]
    assert best["peak_lr"] == 1e-2
    assert best["prose"]["high"] == pytest.approx(0.08 + T2 * 0.02 / 3**0.5, abs=1e-4)  # .13, above the cap
    assert best["perhaps"]
    assert found["by_replay"]["0%"]["highest_minus_lowest_height"]["prose"]["value"] == pytest.approx(0.7)
    assert found["length"]["0 instead of 40 tokens"]["code"]["value"] == pytest.approx(-0.01)


def test_streams_are_found_among_their_stages_and_compared(tmp_path):
    """Law then code: without replay law falls by .5 and rises by .4 again; with a reservoir by .1, and learns .05 less."""
    module = script("domain_stream")
    for seed in range(3):
        for way, lost, learned in (("none", 0.4, 0.5), ("reservoir", 0.1, 0.45)):
            after = {0: (2.0, 3.0, 4.0), 1: (2.1, 3 - learned, 3.9), 2: (2.3, 3 - learned + lost, 3.9 - learned)}
            for stage, domain in ((2, "code"), (1, "law")):

                def at(step, s=stage, after=after):
                    return dict(zip(("prose", "law", "code"), after[s if step else s - 1], strict=True))

                name = f"{way}{seed}{stage}"
                base = {"kind": "run", "run_id": f"{way}{seed}1" if stage == 2 else "base", "weights_sha256": "w"}
                plant(
                    tmp_path / "runs/streams", name, seed, {"replay": {"variant": way}, "mixture": {"domain": domain}},
                    [10], at, base=base, general="prose", domain=domain,
                )  # fmt: skip
        plant(
            tmp_path / "runs/together",
            f"t{seed}",
            seed,
            {},
            [20],
            lambda step: {"prose": 2.2, "law": 3 - 0.4 * (step > 0), "code": 4 - 0.4 * (step > 0)},
        )
    module.main(tmp_path / "runs", tmp_path)
    found = answer(tmp_path)
    none, kept = (found["streams"][f"law → code, {way}"] for way in ("no replay", "reservoir"))
    assert none["backward"]["law"]["value"] == pytest.approx(-0.4)
    assert none["forward_mean"]["value"] == pytest.approx(0.1)  # code fell from 4 to 3.9 while law was learned
    assert none["learned"]["value"] == pytest.approx((2.5 + 3.4) / 2)
    assert kept["forgetting"]["law"]["value"] == pytest.approx(0.1)
    assert none["domains_final"]["value"] == pytest.approx((-0.1 - 0.6) / 2)
    assert found["domains_minus_together"]["law → code, no replay"]["value"] == pytest.approx(-0.35 + 0.4)
    compared = found["replay_minus_none"]["law → code, reservoir"]
    assert compared["domains_forgetting_removed"]["value"] == pytest.approx(0.75)
    assert compared["learned"]["value"] == pytest.approx(0.05)
    assert none["gain"]["value"] == [[-0.1, 0.5, 0.1], [-0.2, -0.4, 0.5]]

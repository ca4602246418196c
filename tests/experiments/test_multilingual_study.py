"""experiments/multilingual: the grid that it claims without duplicates, and its script's differences by hand."""

import importlib.util
import json
from math import log
from pathlib import Path

import pytest

from cptlab.sweeps.preflight import compose_points
from cptlab.sweeps.study import read_study

ROOT = Path(__file__).parents[2]
STUDY = ROOT / "experiments/multilingual"


@pytest.fixture(scope="module")
def answer_py():
    spec = importlib.util.spec_from_file_location("multilingual_answer", STUDY / "answer.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def as_json(config):
    mixture = config.mixture
    kept = {"domain": mixture.domain, "domain_share": mixture.domain_share, "shares": dict(mixture.shares)}
    return {"mixture": kept, "tokens": config.tokens}


@pytest.mark.parametrize("file", ["grid.yaml", "grid_gpu.yaml"])
def test_the_grid_is_every_language_by_every_mixture_and_no_point_twice(file, answer_py):
    configs = compose_points(read_study(STUDY / file, ["machine=cpu_1"]).points)
    named = [(*answer_py.setting(as_json(config)), config.seed) for config in configs]
    longest = max(tokens for _, _, tokens, _ in named)
    each = {(mixture, longest) for mixture in answer_py.SHARE}
    each |= {(answer_py.ALONE, round(longest * share)) for share in (0.5, 0.75)}
    assert len(named) == len(set(named))
    assert set(named) == {(la, m, t, s) for la in answer_py.LANGUAGES for m, t in each for s in (0, 1, 2)}
    assert (file == "grid.yaml") == (longest == answer_py.TOKENS)


def test_the_script_compares_in_bits_per_byte_at_equal_tokens_of_either_kind(answer_py, tmp_path, monkeypatch):
    """3.5 byte a token. Alone takes .7 ln 2 nat = .2 bit/byte off; half English .1, alone at half the tokens .06."""
    monkeypatch.syspath_prepend(str(ROOT / "tests/records"))
    from run_records import write_run

    bit = 3.5 * log(2)
    gains = {"alone": 0.2, "half English": 0.1, "a quarter code": 0.15, "half as long": 0.06, "3/4 as long": 0.15}
    tokens = dict(zip(gains, (491520, 491520, 491520, 245760, 368640), strict=True))
    for language in answer_py.LANGUAGES:
        for name, gain in gains.items():
            shares = {language: 0.75, "code": 0.25} if name == "a quarter code" else {}
            share = 0.5 if name in ("half English", "a quarter code") else 1.0
            config = {"mixture": {"domain": language, "domain_share": share, "shares": shares}, "tokens": tokens[name]}
            for seed in (0, 1, 2):

                def losses(step, gain=gain, seed=seed):
                    end = bit * (seed / 10 - gain) if step else 0
                    return {**dict.fromkeys(answer_py.LANGUAGES, 4.0 + end), "general": 3.0 - end, "code": 5.0}

                write_run(tmp_path / "runs", f"{language}-{name}-{seed}".replace("/", " "), [10], losses, config=config, seed=seed)  # fmt: skip
    answer_py.main(str(tmp_path / "runs"), tmp_path)
    found = json.loads((tmp_path / "answer.json").read_text())["languages"]["latin"]
    assert found["base"] == pytest.approx(4.0 / bit, abs=1e-4)
    assert found["change"]["alone"]["latin"]["value"] == pytest.approx(-0.1)  # -.2 and the seeds' mean of .1
    equal, own = (found[f"minus_alone_at_equal_tokens{of}"] for of in ("", "_of_the_language"))
    assert equal["half English"]["latin"]["value"] == pytest.approx(0.1)
    assert equal["half English"]["general"]["value"] == pytest.approx(-0.1)
    assert own["half English"]["latin"]["value"] == pytest.approx(-0.04)
    assert own["a quarter code"]["latin"]["value"] == 0
    assert (tmp_path / "figures/mixtures.png").exists()

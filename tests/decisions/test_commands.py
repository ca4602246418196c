"""From an answer to the train.py line that acts on it."""

import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from planted import Terms, planted

from cptlab.config import register
from cptlab.decisions.commands import command_of
from cptlab.decisions.compute_optimal import ComputeOptimal
from cptlab.decisions.recommend import recommend
from cptlab.decisions.shares import Shares
from cptlab.launch import dict_override, typed
from cptlab.laws.chinchilla import Chinchilla
from cptlab.records.source import Source

ROOT = Path(__file__).parents[2]
SIZES = {1e6: "1m", 3e6: "3m"}
CORPORA = ("general", "law", "medicine")


@dataclass(kw_only=True)
class Recorded(Source):
    """A source whose two sizes were trained before."""

    def read(self):
        raise NotImplementedError

    def sizes(self):
        return SIZES

    def overrides(self, num_params, tokens):
        named = [name for size, name in SIZES.items() if np.isclose(size, num_params, rtol=1e-3)]
        return [f"model.size={named[0]}", "mixture.domain_share=0.1", "seed=2", "tokens=1e5"] if named else None


def three_corpora():
    """General rises by .2 law + .1 medicine; law and medicine fall with their own share."""
    grid = {f"share_{name}": (0.0, 0.5, 1.0) for name in CORPORA}

    def line(domain, start, **slopes):
        terms = [lambda c: np.ones_like(c["share_law"]), *(lambda c, n=n: c[f"share_{n}"] for n in slopes)]
        law = Terms(terms=terms, inputs=tuple(grid))
        size = {"num_params": 1e6, "tokens": 6e5}
        return planted(law, (start, *slopes.values()), grid, domain=domain, base_loss=2.0, spread=0.2, **size)

    return {"general": line("general", 2, law=0.2, medicine=0.1), "law": line("law", 3, law=-1),
            "medicine": line("medicine", 3, medicine=-1)}  # fmt: skip


def train_config(command):
    from hydra import compose, initialize_config_dir

    register("train")
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return typed(compose("train", overrides=[dict_override(word) for word in shlex.split(command)[2:]]))


def test_shares_of_three_corpora_are_a_command_that_train_takes():
    found = recommend(three_corpora(), Shares(general="general", domain="law", weights={"law": 1, "medicine": 0.9}))
    command = command_of(Recorded(), found.choice)
    assert command is not None
    assert command.startswith("python train.py model.size=1m seed=2 'mixture.shares={general: ")
    assert "domain_share" not in command
    mixture = train_config(command.replace("model.size=1m ", "")).mixture
    chosen = {name: found.choice[f"share_{name}"] for name in CORPORA}
    assert mixture.shares == pytest.approx(chosen, abs=1e-4)
    assert sum(mixture.shares.values()) == pytest.approx(1, abs=1e-9)


def test_the_next_runs_of_shares_are_commands_too():
    found = recommend(three_corpora(), Shares(general="general", domain="law", weights={"law": 1, "medicine": 0.9}))
    assert len(found.next_runs) > 1
    for run in found.next_runs:
        command = command_of(Recorded(), run)
        assert command is not None
        assert command.count("mixture.") == 1
        assert command.endswith(" tokens=600000")


def chinchilla(**columns):
    """Four sizes x three lengths, all at one share."""
    grid = {"num_params": (3e5, 1e6, 3e6, 1e7), "tokens": (1e6, 1e7, 1e8)}
    theta = dict(E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28)
    law = Chinchilla()
    return {"law": planted(law, [theta[x] for x in law.parameter_names], grid, spread=0.05, **columns)}


def test_a_chosen_size_without_a_name_is_measured_at_the_nearest_one_of_the_same_compute():
    found = recommend(chinchilla(domain_share=0.5), ComputeOptimal(flops=6e13))
    assert 5e5 < found.choice["num_params"] < 6e6
    assert "model.size" not in found.next_runs[0]
    size = {name: size for size, name in SIZES.items()}
    sized = recommend(chinchilla(domain_share=0.5), ComputeOptimal(flops=6e13), SIZES).next_runs[0]
    assert size[sized["model.size"]] * sized["tokens"] * 6 == pytest.approx(6e13, rel=1e-3)
    assert command_of(Recorded(), sized) == (
        f"python train.py model.size={sized['model.size']} seed=2 mixture.domain_share=0.5 tokens={sized['tokens']:.0f}"
    )


def test_a_size_far_from_every_recorded_one_has_no_command():
    found = recommend(
        chinchilla(domain_share=0.5), ComputeOptimal(flops=6e17, min_num_params=1e8, max_num_params=1e10), SIZES
    )
    assert all("num_params" in run and command_of(Recorded(), run) is None for run in found.next_runs)


def test_runs_of_several_shares_that_a_law_does_not_read_give_no_command():
    fits = chinchilla()
    rows = fits["law"].observations
    rows.columns["domain_share"] = np.linspace(0, 1, len(rows))
    run = recommend(fits, ComputeOptimal(flops=6e13), SIZES).next_runs[0]
    assert "mixture.domain_share" not in run
    assert command_of(Recorded(), run) is None

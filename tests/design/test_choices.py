"""Two adaptive sweeps of one study at once: one list of rounds, each chosen once."""

import threading

import pytest

from cptlab.design import adaptive as module
from cptlab.design.adaptive import adaptive, chosen_study, read_asked
from cptlab.design.asked import Asked
from cptlab.design.choices import Choices, read_choices
from cptlab.sweeps.study import read_study

ASKED = Asked(overrides=(), num_params=100.0, tokens=640.0, base="", low=0.0, high=1.0, flops=1e6)


def point(share):
    return ASKED.point(share)


def test_two_sweeps_of_one_file_do_not_overwrite_each_others_rounds(tmp_path):
    one, other = (Choices(tmp_path / ".plan" / "adaptive-ab.json", ASKED) for _ in range(2))
    with one.held() as others:
        assert others == []
        one.add([point(0.0), point(1.0)])
    with other.held() as others:
        assert others == [point(0.0), point(1.0)]
        other.add([point(0.5)])
    with one.held() as others:
        assert others == [point(0.5)]
    assert one.rounds == other.rounds == one.read() == [[point(0.0), point(1.0)], [point(0.5)]]


def test_one_waits_while_the_other_chooses(tmp_path):
    file, order, inside = tmp_path / "adaptive-ab.json", [], threading.Event()

    def choose():
        late = Choices(file, ASKED)
        inside.wait(10)
        with late.held() as others:
            order.append(others)

    waiting = threading.Thread(target=choose)
    waiting.start()
    early = Choices(file, ASKED)
    with early.held():
        inside.set()
        waiting.join(0.3)
        assert order == []
        early.add([point(0.5)])
    waiting.join(10)
    assert order == [[point(0.5)]]


@pytest.fixture
def grid(study, tmp_path):
    """A study whose question chooses a share; nothing of it is trained."""
    (tmp_path / "grid.yaml").write_text(
        "name: mine\nlaw: dcpt\nquestion: {question: tradeoff, question.max_general_rise: 0.05}\n"
        "axes: {mixture.domain_share: [0, 0.5, 1]}\nseeds: [0, 1]\n"
    )
    own = [each for each in study if not each.startswith("runs=")]
    return read_study(tmp_path, [*own, f"model.base_run={tmp_path}/base", f"runs='{tmp_path}/my, runs (1)'"])


def test_a_sweep_with_a_stale_view_trains_the_round_that_another_has_written(grid, monkeypatch, capsys):
    asked, trained, proposed = read_asked(grid)[1], [], []

    def sweep(study, *numbers, kept):
        trained.append(study.points)
        if len(trained) == 1:  # meanwhile another one has chosen twice
            other = read_choices(grid, asked)
            with other.held():
                other.add([asked.point(0.25)])
                other.add([asked.point(0.75)])
        return 0

    def propose(config, asked, choices, *numbers):
        proposed.append(choices.points)
        return [], "enough"

    monkeypatch.setattr(module, "sweep", sweep)
    monkeypatch.setattr(module, "make_base", lambda *arguments: None)
    monkeypatch.setattr(module, "_next", propose)
    assert adaptive(grid) == 0
    assert trained[1] == [asked.overrides_of(asked.point(share)) for share in (0.25, 0.75)]
    assert len(trained) == 2
    (known,) = proposed  # asked once, with all rounds in view
    assert [asked.overrides_of(each) for each in known] == trained[0] + trained[1] == chosen_study(grid).points
    assert "another sweep of this study has chosen" in capsys.readouterr().out


def test_runs_in_a_folder_of_any_name_are_read(grid, tmp_path):
    assert read_asked(grid)[0].source.path == f"{tmp_path}/my, runs (1)"

"""`cptlab next`: what it prints, what it refuses."""

import json
import shutil

import pytest
from known_law import BASE, SIZE, STEPS, TOKENS, domain_loss, general_loss

from cptlab.cli import main

GRID = """
name: mine
fixed: {data: installed_packages, runs: RUNS, tokens: 1e6}
axes: {model.size: [30k, 300k, 100k], mixture.domain_share: [0, 0.5, 1]}
"""


def run(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["next", *map(str, arguments)])
    output = capsys.readouterr()
    return ended.value.code, output.out + output.err


def test_a_study_without_runs_starts_spread_out_at_its_largest_size(tmp_path, capsys):
    (tmp_path / "grid.yaml").write_text(GRID.replace("RUNS", str(tmp_path / "runs")))
    code, text = run([tmp_path], capsys)
    commands = [line for line in text.splitlines() if line.startswith("python train.py")]
    assert code == 0
    assert len(commands) == 3
    assert all("tokens=1e6 model.size=300k mixture.domain_share=0." in line for line in commands)
    assert all(line.endswith("seed=0") for line in commands)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "nowhere does not exist"),
        (["nowhere", "--tolerance", "0"], "--tolerance is 0"),
        ([".", "--question", "tradeof"], "Did you mean tradeoff"),
    ],
)
def test_mistakes_are_refused_in_one_sentence(arguments, words, capsys):
    code, text = run(arguments, capsys)
    assert code == 2
    assert words in text
    assert len(text.strip().splitlines()) == 1


def test_a_study_whose_axes_lack_the_share_is_refused(tmp_path, capsys):
    (tmp_path / "grid.yaml").write_text("axes: {seed: [0, 1]}\n")
    code, text = run([tmp_path], capsys)
    assert (code, "no mixture.domain_share" in text) == (2, True)


FORM = {
    "loss_sum": 0.0,
    "num_tokens": 1000,
    "num_bytes": 3000,
    "split": "fit",
    "attempt": 1,
    "replay_tokens": 0,
    "lr": 1e-3,
}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Records of five shares of a law that meets a cap of 3 % at .45, as train.py would leave them."""
    folder = tmp_path_factory.mktemp("records")
    for share in (0.0, 0.2, 0.4, 0.6, 0.9):
        name = f"{round(share * 1e6):012x}"
        facts = {
            "run_id": name, "config": {"model": {"size": "100k"}, "mixture": {"domain_share": share}}, "seed": 0,
            "overrides": ["model.size=100k", f"mixture.domain_share={share}", "tokens=1e6", "seed=0"],
            "num_params_nonembed": int(SIZE), "tokens_total": int(TOKENS), "tokens_per_step": 1000, "peak_lr": 1e-3,
            "base": {"kind": "run", "run_id": "base"}, "tokenizer_hash": "t", "general": "general", "domain": "domain",
            "corpora": {}, "sequence_length": 10, "lr_is_constant_after_warmup": True, "warmup_tokens": 0.0,
            "schedule": {"variant": "constant"},
        }  # fmt: skip
        rows = []
        for tokens in (0.0, *STEPS):
            for corpus, law, base in (("general", general_loss, BASE), ("domain", domain_loss, 4.0)):
                loss = law(tokens, share) if tokens else base
                wiggle = 0.004 * (-1) ** round(share * 10 + len(corpus)) if tokens else 0.0
                by_corpus = {"general": int(tokens * (1 - share)), "domain": int(tokens * share)}
                rows.append(
                    FORM
                    | {"run_id": name, "step": int(tokens / 1000), "tokens_seen": int(tokens), "domain": corpus}
                    | {"tokens_by_corpus": by_corpus, "unique_tokens_by_corpus": by_corpus, "lr_area": tokens / 1e6}
                    | {"loss_sum": 1000 * (loss + wiggle), "anneal_area": 0.0, "loss_se": 0.01, "seconds": 1.0}
                )
        (folder / name).mkdir()
        (folder / name / "run.json").write_text(json.dumps(facts))
        (folder / name / "evals.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / name / "done.json").write_text('{"status": "finished"}')
    return folder


def test_the_next_run_of_recorded_ones_is_a_command_with_effect_and_cost(recorded, capsys):
    code, text = run([recorded, "--tolerance", "0.001", "num_draws=60"], capsys)
    said, first, command = text.splitlines()
    assert code == 0
    assert said.startswith("not enough: domain_share 0.4")
    assert "expected, 6e+11 FLOPs" in first  # 6 x 1e5 x 1e6
    assert command.lstrip().startswith("python train.py model.size=100k tokens=1000000 mixture.domain_share=0.")


def test_runs_that_are_enough_say_so(recorded, capsys):
    code, text = run([recorded, "--tolerance", "0.2", "num_draws=60"], capsys)
    assert code == 0
    assert text.startswith("enough: domain_share 0.4")
    assert "is within the tolerance of 0.2" in text


def test_runs_in_a_folder_of_any_name_are_read(recorded, tmp_path, capsys):
    runs = tmp_path / "it's (new) = übung"
    shutil.copytree(recorded, runs)
    (tmp_path / "grid.yaml").write_text(GRID.replace("RUNS", json.dumps(str(runs))))
    code, text = run([tmp_path, "--tolerance", "0.2", "num_draws=20"], capsys)
    assert code == 0
    assert text.startswith("enough: domain_share 0.4")


def test_a_budget_below_one_run_says_what_a_run_costs(recorded, capsys):
    _, text = run([recorded, "--tolerance", "0.001", "--budget", "1e11", "num_draws=60"], capsys)
    assert "a run costs 6e+11 FLOPs, which the budget does not hold" in text
    assert "python train.py" not in text

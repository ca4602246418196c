"""fit_law.py from the command line: a planted grid, a published table, mistakes."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cptlab.laws.dcpt import DCPT

ROOT = Path(__file__).parents[1]
LAWDATA = Path(os.environ.get("CPTLAB_LAWDATA", ROOT.parent / "shared" / "lawdata"))
# E A B C | alpha eta beta epsilon gamma of DCPT, by corpus. The values were chosen, not fitted.
TRUTH = {
    "law": dict(E=1.5, A=20.0, B=3.0, C=0.6, alpha=0.25, eta=0.5, beta=0.3, epsilon=0.1, gamma=0.3),
    "prose": dict(E=1.5, A=20.0, B=2.0, C=0.25, alpha=0.25, eta=0.5, beta=0.3, epsilon=0.1, gamma=0.5),
}
SHARES, SIZES, TOKENS = (0, 0.1, 0.25, 0.5, 0.75, 0.9, 1), (3e4, 1e5, 3e5), (1e5, 2e5, 4e5, 6e5)
BASE = {3e4: 3.33, 1e5: 2.94, 3e5: 2.66}


def run_fit_law(*overrides: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-W", "error", str(ROOT / "fit_law.py"), *overrides]
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=env, timeout=120)


def true_loss(corpus: str, size: float, tokens: float, share: float) -> float:
    law = DCPT()
    theta = np.array([TRUTH[corpus][name] for name in law.parameter_names])
    columns = {"num_params": np.array([size]), "tokens": np.array([tokens]), "share": np.array([share])}
    return float(law.predict(theta, columns)[0])


@pytest.fixture(scope="module")
def grid(tmp_path_factory) -> Path:
    """Three sizes x seven shares x four checkpoints of two corpora, with noise of 0.1 %."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("grid") / "grid.csv"
    lines = ["run,domain,num_params,tokens,domain_share,base_loss,loss"]
    for size in SIZES:
        for share in SHARES:
            for tokens in TOKENS:
                for corpus, own in (("law", share), ("prose", 1 - share)):
                    loss = true_loss(corpus, size, tokens, own) * (1 + 0.001 * rng.standard_normal())
                    lines.append(f"{size:g}-{share},{corpus},{size:g},{tokens:g},{share},{BASE[size]},{loss:.6f}")
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_planted_grid_gets_its_share_back(grid, tmp_path):
    got = run_fit_law(
        "source=csv", f"source.path={grid}", "source.general=prose", "source.domain=law", f"out={tmp_path}",
        "question.max_general_rise=0.03", "num_draws=100",
    )  # fmt: skip
    assert got.returncode == 0, got.stderr
    assert got.stderr == ""
    answer = json.loads((tmp_path / "recommendation.json").read_text())
    share = np.linspace(0, 1, 2001)
    general = np.array([true_loss("prose", 3e5, 6e5, 1 - r) for r in share])
    truth = share[np.flatnonzero(general <= BASE[3e5] * 1.03)[-1]]
    assert 0.05 < truth < 0.95
    low, high = answer["interval"]["domain_share"]
    assert low - 0.01 <= truth <= high + 0.01
    assert abs(answer["choice"]["domain_share"] - truth) < 0.03
    assert answer["verdict"] == "run", answer["because"]
    assert "binds" in answer["binding"]
    fits = json.loads((tmp_path / "fit.json").read_text())
    assert {entry["domain"] for entry in fits} == {"law", "prose"}
    assert all(entry["r2"] > 0.99 and entry["n_definition"] for entry in fits)
    assert (tmp_path / "observations.csv").read_text().count("\n") == 1 + 3 * 7 * 4 * 2
    page = (tmp_path / "report.html").read_text()
    assert "<html" in page
    assert "://" not in re.sub(r"<script>.*?</script>", "", page, flags=re.S).replace("http://www.w3.org", "")
    assert "verdict" in got.stdout


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """The same grid as run folders, one of them failed."""
    rng = np.random.default_rng(1)
    folder = tmp_path_factory.mktemp("runs")
    for size in SIZES:
        for share in SHARES:
            name = f"{size / 1e3:g}k"
            facts = {
                "run_id": f"{name}-{share}",
                "num_params_nonembed": size,
                "tokens_total": TOKENS[-1],
                "seed": 0,
                "config": {"model": {"size": name}, "mixture": {"domain_share": share}},
                "overrides": [f"model.size={name}", f"mixture.domain_share={share}", "tokens=600000"],
                "tokens_per_step": 1e4,
                "base": {"kind": "run", "run_id": f"base-{name}"},
                "tokenizer_hash": "t",
                "corpora": {},
                "general": "prose",
                "domain": "law",
                "warmup_tokens": 5e4,
                "peak_lr": 1e-3,
                "lr_is_constant_after_warmup": True,
            }
            rows = []
            for tokens in (0, *TOKENS):
                for corpus, own in (("law", share), ("prose", 1 - share)):
                    loss = BASE[size]
                    if tokens:
                        loss = true_loss(corpus, size, tokens, own) * (1 + 0.001 * rng.standard_normal())
                    counts = {"law": tokens * share, "prose": tokens * (1 - share)}
                    rows.append(
                        {
                            "step": tokens / 1e4,
                            "tokens_seen": tokens,
                            "tokens_by_corpus": counts,
                            "domain": corpus,
                            "split": "fit",
                            "loss_sum": 100 * loss,
                            "num_tokens": 100,
                            "num_bytes": 300,
                        }
                    )
            home = folder / facts["run_id"]
            home.mkdir()
            (home / "run.json").write_text(json.dumps(facts))
            (home / "evals.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
            failed = (size, share) == (3e4, 0.1)
            done = {"status": "failed", "reason": "loss is NaN at step 3"} if failed else {"status": "finished"}
            (home / "done.json").write_text(json.dumps(done))
    return folder


def test_run_records_give_the_command_of_the_choice_and_name_the_failed_run(runs, tmp_path):
    got = run_fit_law(f"source.path={runs}", f"out={tmp_path}", "num_draws=100")
    assert got.returncode == 0, got.stderr
    answer = json.loads((tmp_path / "recommendation.json").read_text())
    share = answer["choice"]["domain_share"]
    command = f"python train.py model.size=300k mixture.domain_share={round(share, 4)} tokens=600000"
    assert answer["command"] == command
    assert command in got.stdout
    assert "run 30k-0.1 (failed: loss is NaN at step 3)" in got.stdout
    assert "leaves out" not in got.stdout  # the first kept row lies at 1/6 of the tokens
    assert "from 0.125 of a run's tokens on" in got.stdout
    assert answer["question"]["general"] == "prose"


@pytest.mark.skipif(not LAWDATA.is_dir(), reason=f"no public loss data in {LAWDATA} (CPTLAB_LAWDATA)")
def test_the_command_in_the_documentation_fits_the_published_python_table(tmp_path):
    from cptlab.records import read_csv

    text = str(read_csv.__doc__)
    command = text[text.index("python fit_law.py") :].replace("\\\n", " ")
    words = shlex.split(command)[2:]
    words = [w.replace("source.path=", f"source.path={LAWDATA}/") for w in words]
    quick = ["report=false", "compare=false", "num_draws=50"]
    got = run_fit_law(*words, "question.max_general_rise=0", *quick, f"out={tmp_path}")
    assert got.returncode == 0, got.stderr
    answer = json.loads((tmp_path / "recommendation.json").read_text())
    # Pile share at which the Pile loss equals the base's: 0.28623 in the paper.
    assert abs(1 - answer["choice"]["domain_share"] - 0.286) < 0.015
    low, high = answer["interval"]["domain_share"]
    assert low < 1 - 0.28623 < high
    r2 = {entry["domain"]: entry["r2"] for entry in json.loads((tmp_path / "fit.json").read_text())}
    assert r2["python"] > 0.995
    assert r2["pile"] > 0.94


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["source.path=nowhere"], "error: source.path=nowhere does not exist"),
        (["source=csv"], "error: source.path is empty"),
        (["source.pth=x"], "Did you mean source.path?"),
        (["law=dctp"], "Did you mean dcpt?"),
        (["question.level=2"], "question.level is 2"),
        (["num_draws=3"], "num_draws is 3"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_two(overrides, message, tmp_path):
    got = run_fit_law(*overrides, f"out={tmp_path}/fit")
    assert got.returncode == 2
    assert message in got.stderr
    assert got.stderr.count("\n") == 1
    assert not (tmp_path / "fit").exists()


def test_help_needs_neither_torch_nor_pandas():
    code = (
        "import sys, runpy; sys.argv = ['fit_law.py', '--help']\n"
        "try: runpy.run_path('fit_law.py', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'pandas', 'transformers', 'lightning', 'matplotlib', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    got = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=env)
    assert got.returncode == 0, got.stderr
    assert "question" in got.stdout


def test_an_answer_needs_no_torch():
    code = "import sys, cptlab.decisions.recommend, cptlab.fitting.fit, cptlab.report.page\n"
    code += "import cptlab.records.read_csv, cptlab.records.read_runs; assert 'torch' not in sys.modules"
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    got = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=env)
    assert got.returncode == 0, got.stderr


def test_points_are_predicted_and_a_run_is_checked_from_the_command_line(runs, tmp_path):
    common = [f"source.path={runs}", f"out={tmp_path}", "num_draws=100", "report=false", "compare=false"]
    points = "question.points=[{domain_share: 0.3}, {domain_share: 0.6, num_params: 1e5}]"
    got = run_fit_law(*common, "question=what_if", points)
    assert got.returncode == 0, got.stderr
    table = json.loads((tmp_path / "recommendation.json").read_text())["table"]
    assert abs(table[0]["law"] - true_loss("law", 3e5, 6e5, 0.3)) < 0.02
    assert table[0]["law_low"] < table[0]["law"] < table[0]["law_high"]
    assert "domain_share 0.6, num_params 1e+05, tokens 6e+05, " in got.stdout

    got = run_fit_law(*common, "check=300k-0.5")
    assert got.returncode == 0, got.stderr
    assert (
        "run 300k-0.5 (domain_share 0.5, num_params 300000, tokens 600000) against fits that have not seen it"
        in got.stdout
    )
    assert "law: measured" in got.stdout
    check = json.loads((tmp_path / "check.json").read_text())
    assert check["corpora"].keys() == {"law", "prose"}
    got = run_fit_law(*common, "check=300k-0.55")
    assert got.returncode == 2
    assert "check=300k-0.55 is no run among the rows read" in got.stderr


def test_auto_says_which_law_it_took_and_writes_the_comparison(grid, tmp_path):
    common = ["source=csv", f"source.path={grid}", "source.general=prose", "source.domain=law", "report=false"]
    got = run_fit_law(*common, "law=auto", f"out={tmp_path}", "num_draws=30")
    assert got.returncode == 0, got.stderr
    assert got.stderr == ""
    (comparison,) = json.loads((tmp_path / "comparison.json").read_text())
    assert comparison["chosen"] == "dcpt"
    assert comparison["domains"] == ["law", "prose"]
    assert "no column lr_area" in comparison["left_out"]["annealing"]
    assert {entry["law"] for entry in json.loads((tmp_path / "fit.json").read_text())} == {"dcpt"}
    assert "chosen law    dcpt (9 parameters) predicts" in got.stdout

    got = run_fit_law(
        *common,
        "law=chinchilla",
        "compare=true",
        f"out={tmp_path}",
        "num_draws=30",
        "question=what_if",
        "question.points=[{num_params: 3e5, tokens: 6e5}]",
    )
    assert got.returncode == 0, got.stderr
    assert {entry["law"] for entry in json.loads((tmp_path / "fit.json").read_text())} == {"chinchilla"}
    assert "held-out errors would choose: dcpt" in got.stdout
    assert (tmp_path / "comparison.json").is_file()


def test_an_answer_with_its_report_needs_no_torch(tmp_path):
    """The whole of fit_law.py in one process, then a look at what it loaded."""
    code = (
        "import sys; sys.argv = ['fit_law.py', 'source=csv', 'source.path=docs/data/quickstart.csv', 'num_draws=20', "
        f"'source.domain=code', 'law.min_irreducible=-10', 'out={tmp_path}', 'compare=false']\n"
        "import fit_law; fit_law.launch(fit_law.task, 'fit_law')\n"
        "assert not {'torch', 'transformers', 'datasets', 'lightning', 'wandb'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "report.html").exists()

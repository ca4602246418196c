"""fit_law.py over runs of which some started from each other, and over tasks that two models answered."""

import pytest
from known_runs import write_run
from test_fit_law import run_fit_law

ODD = "<b>law</b> & $x$"
SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)


def losses(share, prose=3.0, odd=4.0):
    """Falls with tokens and with the share of each corpus, from these base losses on."""
    gone = lambda step, own: own**0.5 * step**0.3 / 4  # noqa: E731
    after = {s: {"prose": prose + 0.05 - gone(s, 1 - share) / 3, ODD: odd - gone(s, share)} for s in (2, 4, 7, 10)}
    return {0: {"prose": prose, ODD: odd}} | after


@pytest.fixture
def runs(tmp_path):
    """Five first stages of different shares, and a second one behind the first two of them."""
    corpora = {name: {"fit": {"content_hash": name}} for name in ("prose", ODD)}
    own = {"domain": ODD, "corpora": corpora}
    for share in SHARES:
        write_run(tmp_path / "runs", f"r{share}", losses(share), share=share, se=0.01, **own)
    for share in SHARES[:2]:
        first, base = losses(share), {"kind": "run", "run_id": f"r{share}", "weights_sha256": "x"}
        write_run(
            tmp_path / "runs", f"s{share}", losses(share, first[10]["prose"], first[10][ODD]), share=share, se=0.01,
            base=base, config={"replay": {"variant": f"way {share}"}}, **own,
        )  # fmt: skip
    return tmp_path / "runs"


@pytest.mark.slow
def test_a_fit_over_stages_reports_their_transfer_and_the_tasks_names_escaped(runs, tmp_path):
    for name, right in (("base", 0), ("adapted", 1)):
        lines = [f"{task},{i},{right if task == 'one' else i % 2}" for task in ("one", "same") for i in range(40)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["task,item,score", *lines]) + "\n")
    got = run_fit_law(
        f"source.path={runs}", f"out={tmp_path / 'fit'}", "num_draws=20", "heldout=false", "compare=false",
        f"tasks=[{tmp_path}/base.csv,{tmp_path}/adapted.csv]", "source.valid_from=0.1",
    )  # fmt: skip
    assert got.returncode == 0, got.stderr
    page = (tmp_path / "fit" / "report.html").read_text("utf8")
    figures = {path.stem for path in (tmp_path / "fit" / "figures").iterdir()}
    assert {"transfer_matrix", "transfer_matrix_2", "tasks"} <= figures
    for key in ("transfer_matrix", "transfer_matrix_2", "tasks"):
        assert f'id="{key}"' in page
    assert (
        "Transfer over &lt;b&gt;law&lt;/b&gt; &amp; $x$ → &lt;b&gt;law&lt;/b&gt; &amp; $x$ (replay.variant=way 0.1)"
        in page
    )
    assert "<b>law" not in page
    assert "Adapted against base: 1 win, 1 tie, 0 loss" in page
    rise = 0.05 - 0.9**0.5 * 10**0.3 / 12  # of prose in each stage of r0.1, s0.1: its backward transfer is minus twice
    assert f"backward transfer of prose {'+' if rise < 0 else '−'}{abs(2 * rise):.3f}" in page


def test_tasks_without_a_report_are_refused(runs, tmp_path):
    got = run_fit_law(f"source.path={runs}", f"out={tmp_path / 'fit'}", "tasks=[a.csv,b.csv]", "report=false")
    assert got.returncode == 2
    assert "tasks are drawn in the report, which report=false leaves out; drop one of the two" in got.stderr


@pytest.mark.parametrize(
    ("tasks", "words"),
    [("[a.csv]", "tasks has 1 entries; give the item scores of two models"), ("[a.csv,b.csv]", "a.csv is no file of scores")],
)  # fmt: skip
def test_tasks_that_cannot_be_read_are_refused_before_anything_is_fitted(runs, tmp_path, tasks, words):
    got = run_fit_law(f"source.path={runs}", f"out={tmp_path / 'fit'}", f"tasks={tasks}")
    assert got.returncode == 2
    assert words in got.stderr
    assert not (tmp_path / "fit").exists()

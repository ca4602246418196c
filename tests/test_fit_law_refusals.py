"""Bad tables and impossible questions: fit_law.py answers each with exit code 2 and one sentence, and writes nothing."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_fit_law import run_fit_law

from cptlab.errors import UserError
from cptlab.fitting.table import as_observations
from cptlab.laws import known_laws
from cptlab.laws.dcpt import DCPT
from cptlab.variants import discover_group

ROOT = Path(__file__).parents[1]
SIZES, SHARES, TOKENS = (3e4, 1e5, 3e5), tuple(np.linspace(0, 1, 11).round(1)), (1e5, 3e5, 6e5)
THETA = np.array([1.5, 20.0, 2.0, 0.3, 0.25, 0.5, 0.3, 0.1, 0.4])  # of DCPT, chosen
LENT = ("fit_law.py", "source=csv", "source.general=prose", "source.domain=law", "report=false", "num_draws=20")


def table() -> pd.DataFrame:
    """3 sizes x 11 shares x 3 checkpoints of two corpora, with a column for every law but those of LR drops."""
    rows = [
        {"run": f"{n:g}-{r:g}", "domain": name, "num_params": n, "tokens": t, "domain_share": r, "own": own}
        for n in SIZES for r in SHARES for t in TOKENS for name, own in (("law", r), ("prose", 1 - r))
    ]  # fmt: skip
    made = pd.DataFrame(rows)
    columns = {"num_params": made["num_params"], "tokens": made["tokens"], "share": made.pop("own")}
    made["loss"] = DCPT().predict(THETA, {name: x.to_numpy() for name, x in columns.items()}).round(6)
    made["base_loss"] = 3.0
    return made


def with_rates(made: pd.DataFrame) -> pd.DataFrame:
    """The same with peak LRs, areas and distinct tokens, so that laws of these columns fit."""
    made = made.copy()
    made["peak_lr"] = 10.0 ** -(2 + (10 * made["domain_share"]).round() % 3)
    made["tokens_per_step"] = 1e4
    made["lr_area"] = made["tokens"] / 1e4 * 1e-3
    made["anneal_area"] = 1e-3 * made["domain_share"] * (made["tokens"] == 6e5)
    made["unique_tokens"] = 0.7 * made["tokens"]
    made["num_params_mean"] = 0.8 * made["num_params"]
    made["injected_share"] = 0.01 * (1 + made["domain_share"])
    for name in ("law", "prose"):
        made[f"share_{name}"] = made["domain_share"] if name == "law" else 1 - made["domain_share"]
    return made


def changed(column: str, value: object) -> pd.DataFrame:
    made = table()
    made.loc[3, column] = value
    return made


def where(**values: float) -> pd.DataFrame:
    """The rows at these values."""
    made = table()
    return made[np.all([np.ones(len(made), bool), *(made[name] == x for name, x in values.items())], axis=0)]


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """Call fit_law.py in this process on a table; return its one sentence."""

    def call(made: pd.DataFrame, *overrides: str) -> str:
        made.to_csv(tmp_path / "table.csv", index=False)
        out = tmp_path / "fit"
        monkeypatch.setattr(
            sys, "argv", [*LENT, f"source.path={tmp_path / 'table.csv'}", f"out={out}", "heldout=false", *overrides]
        )
        with pytest.raises(SystemExit) as stopped:
            _main()
        told = capsys.readouterr()
        assert stopped.value.code == 2, told.out
        assert told.err.startswith("error: ")
        assert told.err.count("\n") == 1, told.err
        assert not out.exists()
        return told.err

    return call


def _main():
    from hydra.core.global_hydra import GlobalHydra

    import fit_law

    GlobalHydra.instance().clear()
    fit_law.launch(fit_law.task, "fit_law")


# ---------------------------------------------------------------- tables


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: table().rename(columns={"tokens": "tokns"}), "table.csv has no column tokens"),
        (lambda: table().rename(columns={"loss": "los"}), "has no column 'loss'. Did you mean los?"),
        (lambda: table().drop(columns="domain_share"), "table.csv has no column share"),
        (lambda: changed("loss", 0), "row 5, column loss: loss is 0.0; it must be finite and above 0"),
        (lambda: changed("loss", -1), "row 5, column loss: loss is -1.0; it must be finite and above 0"),
        (lambda: changed("domain_share", 1.2), "row 5, column domain_share: domain_share is 1.2"),
        (lambda: changed("tokens", 0.5), "tokens is 0.5"),
        (lambda: table().assign(loss="high"), "row 2, column loss: 'high' is no number"),
        (lambda: table().assign(loss=np.nan), "has no row with a loss"),
        (lambda: table().iloc[:0], "table.csv has no rows"),
        (lambda: pd.concat([table(), changed("loss", 9.0).iloc[[3]]]), "row 200 contradicts row 5: prose loss 9"),
        (lambda: table()[table()["domain"] == "law"], "only law was fitted; give a table with the losses of both"),
    ],
)  # fmt: skip
def test_a_bad_table_is_refused(refused, made, message):
    assert message in refused(made())


@pytest.mark.parametrize(
    ("law", "made", "message"),
    [
        ("dcpt", lambda: where(tokens=6e5, num_params=3e5)[:12], "6 rows of 6 runs cannot fit law=dcpt (9 parameters"),
        ("dcpt", lambda: where(domain_share=0.5), "every row has share 0.5, so C, epsilon, gamma, eta of law=dcpt cannot be known"),
        ("cmr", lambda: where(domain_share=0.5, num_params=3e5), "every row has domain_share 0.5, so alpha, s of law=cmr cannot be known"),
        ("cmr", table, "law=cmr takes one value of num_params a fit"),
        ("almr_lr", lambda: with_rates(where(num_params=3e5)).assign(peak_lr=1e-4), "there is 1: 0.0001), so cz, czz, cxz cannot be known"),
        ("cpt_dynamics", lambda: with_rates(table()).assign(anneal_area=0.0, base_lr_area=6, base_anneal_area=0.1),
         "there is 1: 0), so C2 cannot be known. Add 1 run with another anneal_area"),
        ("multi_power", lambda: with_rates(table()), "table.csv has no column lr_drop_00"),
    ],
)  # fmt: skip
def test_too_few_runs_or_levels_are_refused_with_what_cannot_be_known(refused, law, made, message):
    areas = ["question=what_if", "question.points=[{lr_area: 1}]"] if law in ("cpt_dynamics", "multi_power") else []
    assert message in refused(made(), f"law={law}", *areas)


def test_one_size_is_fitted_with_its_parameters_named_as_unknown(tmp_path):
    where(num_params=3e5).to_csv(tmp_path / "table.csv", index=False)
    got = run_fit_law(*LENT[1:], f"source.path={tmp_path / 'table.csv'}", f"out={tmp_path / 'fit'}", "heldout=false")
    assert got.returncode == 0, got.stderr
    assert "one distinct value of num_params: A, alpha cannot be known and stayed fixed." in " ".join(
        got.stdout.split()
    )


def test_rows_without_a_loss_are_left_out_and_counted(tmp_path):
    changed("loss", None).to_csv(tmp_path / "table.csv", index=False)
    got = run_fit_law(*LENT[1:], f"source.path={tmp_path / 'table.csv'}", f"out={tmp_path / 'fit'}", "heldout=false")
    assert got.returncode == 0, got.stderr
    assert "left out      1 rows without a loss" in got.stdout


# ---------------------------------------------------------------- questions

ASKED = {
    "tradeoff": {},
    "critical_ratio": {},
    "exchange": {"lam": 1.0},
    "limited_domain_tokens": {"domain_tokens": 2e5},
    "compute_optimal": {"flops": 1e12, "domain_share": 0.5},
    "reach_target": {"target_loss": 3.0},
    "lr_and_ratio": {},
    "schedule": {},
    "shares": {},
}
NEEDS = {
    "tradeoff": "a share of the corpora",
    "critical_ratio": "a share of the corpora",
    "exchange": "tokens",
    "limited_domain_tokens": "a share of the corpora",
    "compute_optimal": "num_params",
    "reach_target": "tokens",
    "lr_and_ratio": "peak_lr",
    "schedule": "lr_area",
    "shares": "a share of the corpora",
}
LACKING = [
    *[(law, question) for law in ("chinchilla", "average_params", "data_constrained", "forgetting_injection")
      for question in ("tradeoff", "critical_ratio", "limited_domain_tokens", "shares", "lr_and_ratio", "schedule")],
    *[("dcpt", question) for question in ("lr_and_ratio", "schedule")],
    *[("bimix", question) for question in ("compute_optimal", "lr_and_ratio", "schedule")],
    *[("cmr", question) for question in ("exchange", "compute_optimal", "reach_target", "lr_and_ratio", "schedule")],
    *[("mixing", question) for question in ("exchange", "compute_optimal", "reach_target", "lr_and_ratio", "schedule")],
    *[("additive_mixture", question) for question in ("lr_and_ratio", "schedule")],
    *[("almr_lr", question) for question in ("exchange", "compute_optimal", "reach_target", "schedule")],
    *[("annealing", question) for question in NEEDS if question not in ("exchange", "schedule")],
]  # fmt: skip


@pytest.mark.parametrize(("law", "question"), LACKING)
def test_a_question_that_a_law_cannot_answer_is_refused_without_a_fit(law, question):
    made = with_rates(table())
    name = "critical_ratio" if question == "exchange" else question
    asked = discover_group("question")[name](**ASKED[question])
    of_table = known_laws()[law]().of_table(made.columns)
    with pytest.raises(UserError, match=f"law={law} does not read {NEEDS[question]}, so .*; (fit|give|leave) "):
        asked.refuse_unanswerable([of_table], [as_observations(made)])


@pytest.mark.parametrize(
    ("law", "keep", "question"),
    [
        ("chinchilla", {}, "tradeoff"), ("chinchilla", {}, "critical_ratio"), ("chinchilla", {}, "shares"),
        ("dcpt", {}, "lr_and_ratio"), ("dcpt", {}, "schedule"), ("cmr", {"num_params": 3e5}, "schedule"),
        ("annealing", {"num_params": 3e5}, "tradeoff"), ("forgetting_injection", {}, "tradeoff"),
    ],
)  # fmt: skip
def test_the_same_from_the_command_line(refused, law, keep, question):
    told = refused(with_rates(where(**keep)), f"law={law}", f"question={question}")
    assert f"law={law} does not read {NEEDS[question]}, so " in told, told


@pytest.mark.parametrize(
    ("law", "made", "overrides", "message"),
    [
        ("chinchilla", lambda: where(num_params=3e5), ("question=compute_optimal", "question.flops=1e12"),
         "every row has num_params 3e+05, so A, alpha of law=chinchilla cannot be known"),
        ("dcpt", lambda: where(tokens=6e5), ("question=reach_target", "question.target_loss=3"),
         "every row has tokens 6e+05, so beta of law=dcpt cannot be known"),
        ("mixing", lambda: with_rates(where(num_params=3e5, tokens=6e5)).assign(
            domain_share=0.5, share_law=0.5, share_prose=0.5, loss=lambda x: x["loss"].groupby(x["domain"]).transform("mean")),
         ("question=shares", "question.general=prose", "question.domain=law"), "cannot be known"),
        ("dcpt", table, ("question=compute_optimal", "question.flops=1e12"),
         "needs a share or a cap: give question.domain_share"),
        ("dcpt", table, ("question.domain=lwa",), "question.domain=lwa was not fitted. Did you mean law?"),
        ("dcpt", lambda: table().drop(columns="base_loss"), (),
         "no loss before the first update is known"),
        ("data_constrained", lambda: with_rates(table()), ("question=reach_target", "question.target_loss=3"),
         "reads unique_tokens, which varies over the runs and which the question does not set"),
        ("dcpt", table, ("question=what_if", "question.points=[{domain_shar: 0.3}]"),
         "domain_shar, which is no column. Did you mean domain_share?"),
    ],
)  # fmt: skip
def test_a_question_that_the_rows_cannot_answer_is_refused(refused, law, made, overrides, message):
    assert message in refused(made(), f"law={law}", *overrides)


@pytest.mark.parametrize(
    ("made", "overrides", "message"),
    [
        (lambda: changed("loss", -1), (), "loss is -1.0"),
        (table, ("law=chinchilla",), "law=chinchilla does not read a share of the corpora"),
        (lambda: pd.concat([table(), changed("loss", 9.0).iloc[[3]]]), (), "contradicts"),
    ],
)
def test_a_process_refuses_with_exit_code_two_and_without_a_traceback(tmp_path, made, overrides, message):
    made().to_csv(tmp_path / "table.csv", index=False)
    where = (f"source.path={tmp_path / 'table.csv'}", f"out={tmp_path / 'fit'}")
    got = run_fit_law(*LENT[1:], *where, *overrides)
    assert got.returncode == 2
    assert message in got.stderr
    assert got.stderr.count("\n") == 1
    assert not (tmp_path / "fit").exists()

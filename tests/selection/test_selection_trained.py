"""Selection in real runs: each variant trains from the command line on corpora of its own."""

import json
from pathlib import Path

import numpy as np
import pytest

from cptlab.data.corpus import prepare
from cptlab.errors import UserError
from cptlab.records.run import read_rows
from cptlab.selection.quality_topk import QualityTopK
from cptlab.sweeps.preflight import compose_point
from cptlab.training.run import open_point, train_point


@pytest.fixture(scope="module")
def scored_study(study, tmp_path_factory):
    """The tiny study with a score beside every document, and the run of a base."""
    folder = tmp_path_factory.mktemp("scored")
    corpora = next(o for o in study if o.startswith("data.corpora=")).removeprefix("data.corpora=").strip("{}")
    for entry in corpora.split(", "):
        name, path = entry.split(": ")
        lines = [json.loads(line) | {"score": i / 400} for i, line in enumerate(Path(path).read_text().splitlines())]
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    (folder / "target.jsonl").write_text("\n".join(json.dumps({"text": f"1+{i}={i + 1};"}) for i in range(20)) + "\n")
    overrides = [
        *study, f"data.corpora={{prose: {folder}/prose.jsonl, sums: {folder}/sums.jsonl}}",
        f"data.cache_dir={folder}/cache", f"runs={folder}/runs", "tokens=1280",
    ]  # fmt: skip
    config = compose_point([*overrides, "mixture=general_only"])
    base = train_point(config, overrides, quiet=True)
    assert base.status == "finished"
    return overrides, folder, base


@pytest.mark.parametrize(
    "choice",
    [
        ["selection=none"],
        ["selection=quality_threshold", "selection.minimum=0.5"],
        ["selection=quality_topk", "selection.tokens=3e3"],
        ["selection=perplexity", "selection.model={base}"],
        ["selection=dsir", "selection.target={folder}/target.jsonl"],
        ["selection=got_d", "selection.target={folder}/target.jsonl"],
        ["selection=got_d", "selection.target=prose", "selection.embedding=model", "selection.model={base}"],
    ],
    ids=lambda choice: "-".join(choice[:1]),
)
def test_every_selection_trains_20_steps_from_the_command_line(scored_study, choice):
    overrides, folder, base = scored_study
    chosen = [part.format(folder=folder, base=base.folder) for part in choice]
    config = compose_point([*overrides, *chosen, f"model.base_run={base.folder}", "save_model=false"])
    outcome = train_point(config, chosen, quiet=True)
    assert outcome.status == "finished", outcome.reason
    rows = read_rows(outcome.folder)
    assert rows[-1]["step"] == 20
    facts = json.loads((outcome.folder / "run.json").read_text())
    plain = json.loads((base.folder / "run.json").read_text())["corpora"]
    assert facts["config"]["selection"]["variant"] == choice[0].removeprefix("selection=")
    assert facts["corpora"]["prose"] == plain["prose"]
    assert all(facts["corpora"]["sums"][split] == plain["sums"][split] for split in ("valid", "fit", "test"))
    fewer = facts["corpora"]["sums"]["train"]["num_documents"] < plain["sums"]["train"]["num_documents"]
    assert fewer == (choice != ["selection=none"])
    # The same base on the same held-out text, whatever was selected.
    start = [row["loss_sum"] for row in rows if row["step"] == 0 and row["split"] == "fit"]
    after = [row["loss_sum"] for row in read_rows(base.folder) if row["step"] == 20 and row["split"] == "fit"]
    np.testing.assert_allclose(start, after, rtol=1e-6)


def test_a_selection_gives_a_run_another_id_than_none(scored_study):
    overrides, _, _ = scored_study
    ids = [
        open_point(compose_point([*overrides, *more])).run_id
        for more in ([], ["selection=quality_topk"], ["selection=quality_topk", "selection.share=0.25"])
    ]
    assert len(set(ids)) == 3


def test_what_a_build_left_out_names_the_selection(scored_study):
    overrides, _, _ = scored_study
    config = compose_point([*overrides, "selection=quality_topk"])
    corpora = prepare(config.data, None, config.selection)
    assert corpora.left_out["sums"]["quality_topk"] == corpora.selection["dropped_documents"] > 0
    assert corpora.selection["variant"] == "quality_topk"


def test_documents_cannot_be_selected_from_token_files(source, monkeypatch):
    monkeypatch.setattr(type(source), "tokens", lambda self, tokenizer: {})
    with pytest.raises(UserError, match=r"selection chooses documents of text, but data holds tokens"):
        prepare(source, None, QualityTopK(score="quality"))

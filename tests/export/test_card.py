import json
import math

import pytest
import yaml

from cptlab.export.card import card, described, escaped, table
from cptlab.export.record import open_run
from cptlab.records.run import read_rows


@pytest.fixture
def shown(run):
    return card(open_run(run), "fp32", "model", "ab" * 32, ["Same logits."])


def test_the_head_is_read_by_the_hub_and_states_no_licence(shown):
    head = yaml.safe_load(shown.split("---")[1])
    assert head["library_name"] == "transformers"
    assert "license" not in head
    assert "base_model" not in head
    assert "The licence is yours to state" in shown


def test_a_base_of_the_hub_is_named_a_folder_is_not(run):
    finished = open_run(run)
    finished.facts["config"]["model"]["path"] = "owner/model-1b"
    assert yaml.safe_load(card(finished, "fp32", "model", "", []).split("---")[1])["base_model"] == "owner/model-1b"
    finished.facts["config"]["model"]["path"] = "/home/me/model"
    assert "/home/me" not in card(finished, "fp32", "model", "", [])


def test_the_recipe_states_what_was_achieved(shown, run):
    facts = json.loads((run / "run.json").read_text())
    assert r"| mixture | static, domain\_share 0.25 |" in shown
    assert "| replay | none |" in shown
    assert "| lr schedule | constant, warmup\\_tokens 0.0 |" in shown or "| lr schedule | " in shown
    assert "| tokens | 640 in 10 steps of 64 |" in shown
    assert "| prose | 75.0 % | 480 |" in shown
    assert "| sums | 25.0 % | 160 |" in shown
    assert f"| torch | {facts['versions']['torch']} |" in shown


def test_losses_stand_with_their_errors_against_the_base(shown, run):
    rows = {(row["domain"], row["step"]): row for row in read_rows(run) if row["split"] == "test"}
    first, last = rows["sums", 0], rows["sums", 10]
    before, after = (row["loss_sum"] / row["num_tokens"] for row in (first, last))
    error = math.sqrt(first["loss_se"] ** 2 + last["loss_se"] ** 2)
    bits = last["loss_sum"] / math.log(2) / last["num_bytes"]
    assert (
        f"| sums | test | {before:.4f} ± {first['loss_se']:.4f} | {after:.4f} ± {last['loss_se']:.4f} |"
        f" {after - before:+.4f} ± {error:.4f} | {bits:.4f} |" in shown
    )


def test_no_path_of_this_machine_is_shown(run):
    finished = open_run(run)
    shown = card(finished, "fp32", "model", "", [])
    assert str(finished.facts["config"]["data"]["cache_dir"]).startswith("/")
    assert "/" not in shown.replace("[nat/token]", "")
    assert finished.facts["hardware"]["host"] not in shown.split()


def test_a_name_cannot_break_out_of_its_cell():
    name = "a|b\n# <script>`x`</script> [l](u) ~$"
    cell = escaped(name)
    assert "\n" not in cell
    assert "<" not in cell
    assert r"\|" in cell
    assert r"\[l\]\(u\)" in cell
    assert table(("x",), [(name,)]).count("\n") == 2


def test_a_hostile_corpus_name_stays_text(run):
    for file in ("run.json", "evals.jsonl"):
        content = (run / file).read_text()
        (run / file).write_text(content.replace('"prose"', '"<img src=x>|---"'))
    shown = card(open_run(run), "fp32", "model", "", [])
    assert "<img" not in shown
    assert r"&lt;img src=x&gt;\|---" in shown


def test_a_variant_is_described_by_the_fields_that_are_set():
    fields = {"variant": "static", "domain": "", "domain_share": 0.0, "shares": {}, "threads": 4}
    assert described(fields) == "static, domain_share 0.0"

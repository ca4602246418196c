"""What a real run measures beside its losses, held against the same worked out from its weights."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.stats import kurtosis

from cptlab.errors import UserError
from cptlab.metrics.diagnostics import read_diagnostics
from cptlab.metrics.of_run import metrics_of
from cptlab.records.run import read_rows
from cptlab.records.run_folders import load_run
from cptlab.sweeps.preflight import compose_point
from cptlab.training.build import build_whole
from cptlab.training.diagnostics.drift import parts_of
from cptlab.training.diagnostics.kurtosis import token_kurtosis
from cptlab.training.evaluate import to_tensors
from cptlab.training.network import Network
from cptlab.training.recorder import evaluation_batch
from cptlab.training.run import open_point, train_point

ALL = [
    f"diagnostics.{name}=true" for name in ("row_losses", "weight_drift", "gradient_alignment", "activation_kurtosis")
]
SMALL = ["diagnostics.rows=6", "evaluation.batch_rows=2", "model.depth=2", "optimizer.peak_lr=1e-2"]


def train(overrides):
    outcome = train_point(compose_point(overrides), overrides, quiet=True)
    assert outcome.status == "finished", outcome.reason
    return outcome.folder


def numbers(folder, keep=lambda row: True):
    rows = [row for row in read_rows(folder) if keep(row)]
    return [{k: v for k, v in row.items() if k not in ("seconds", "attempt")} for row in rows]


@pytest.fixture(scope="module")
def measured(study, tmp_path_factory):
    """(overrides, folder) of a run with everything on."""
    overrides = [*study, *SMALL, *ALL, f"runs={tmp_path_factory.mktemp('on')}"]
    return overrides, train(overrides)


@pytest.fixture(scope="module")
def start(measured):
    """(network before the first update, {corpus: its evaluation rows})."""
    point = open_point(compose_point(measured[0]))
    batches = {
        name: evaluation_batch(splits["fit"], point.config.evaluation.rows, 16, point.corpora.eos_id)
        for name, splits in point.corpora.corpora.items()
    }
    return Network(build_whole(point), point.config.objective).eval(), batches


def test_measuring_changes_no_number_of_the_run(measured, study, tmp_path):
    folder = measured[1]
    plain = train([*study, *SMALL, f"runs={tmp_path}"])
    assert plain.name == folder.name
    assert numbers(plain) == numbers(folder)
    assert not (plain / "diagnostics.jsonl").exists()
    steps = sorted({row["step"] for row in read_rows(folder)})
    assert [line["step"] for line in read_diagnostics(folder).lines] == steps


def test_rows_add_up_to_the_recorded_loss_and_its_error(measured):
    kept = read_diagnostics(measured[1]).rows
    for row in read_rows(measured[1]):
        if row["split"] == "fit":
            rows = kept[row["domain"]]
            sums = rows.sums[rows.steps.index(row["step"])]
            assert sums.sum() == pytest.approx(row["loss_sum"])
            assert rows.counts.sum() == row["num_tokens"]
            error = np.sqrt(np.sum((sums - sums.sum() / row["num_tokens"] * rows.counts) ** 2)) / row["num_tokens"]
            assert error == pytest.approx(row["loss_se"])


def test_drift_is_the_distance_between_saved_and_first_weights(measured, start):
    before = dict(start[0].model.named_parameters())
    after = load_file(measured[1] / "model" / "model.safetensors")
    parts = parts_of(start[0].model)
    assert set(parts.values()) == {"embeddings", "block 0", "block 1", "other"}  # the head is tied
    lines = read_diagnostics(measured[1]).lines
    assert all(part["change_sq"] == 0 for part in lines[0]["weight_drift"].values())
    for part, found in lines[-1]["weight_drift"].items():
        names = [name for name in before if parts[name] == part]
        change = sum(float((after[name] - before[name].detach()).double().square().sum()) for name in names)
        assert found["change_sq"] == pytest.approx(change, rel=1e-6)
        assert found["change_sq"] > 0
        assert found["numel"] == sum(before[name].numel() for name in names)
    assert sum(p["numel"] for p in lines[-1]["weight_drift"].values()) == sum(p.numel() for p in before.values())


def test_the_dot_products_are_those_of_gradients_of_mean_losses(measured, start):
    network, batches = start
    flat = []
    for batch in batches.values():
        for half in (0, 1):
            rows = np.arange(half, 6, 2)
            loss = network(network.inputs(to_tensors(batch, rows)))[0]
            flat.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(network.parameters()))]))
    expected = torch.stack(flat).double()
    expected = (expected @ expected.T).numpy()
    _, _, found = read_diagnostics(measured[1]).alignments[0]
    np.testing.assert_allclose(found.gram, expected, rtol=1e-4, atol=1e-8)
    assert list(found.corpora) == list(batches)
    assert (np.abs(found.cosine) <= 1 + 1e-9).all()


def test_kurtosis_is_that_of_the_hidden_states(measured, start):
    network, batches = start
    found = read_diagnostics(measured[1]).base_kurtosis
    for name, batch in batches.items():
        inputs = network.inputs(to_tensors(batch, np.arange(6)))
        kept = []
        handle = network.inner[0].model.layers[0].register_forward_hook(lambda m, i, o, kept=kept: kept.append(o))
        with torch.no_grad():
            network(inputs)
        handle.remove()
        hidden = kept[0][0] if isinstance(kept[0], tuple) else kept[0]
        values = kurtosis(hidden.numpy().astype(np.float64), axis=-1, fisher=False)
        assert len(found[name]) == 2
        assert found[name][0].value == pytest.approx(values[batch.labels[:6] >= 0].mean(), rel=1e-4)


def test_kurtosis_of_a_gaussian_is_3_and_of_one_outlier_the_width():
    torch.manual_seed(0)
    assert token_kurtosis(torch.randn(4, 8, 4096)).mean() == pytest.approx(3, abs=0.05)
    one = torch.zeros(1, 1, 1000)
    one[..., 7] = 5.0
    assert token_kurtosis(one).item() == pytest.approx(1000, rel=0.01)
    assert token_kurtosis(torch.full((1, 1, 8), 2.0)).item() == 0


def test_an_attempt_that_goes_on_measures_from_the_base_and_not_from_where_it_starts(measured, study, tmp_path):
    overrides = [*study, *SMALL, *ALL, f"runs={tmp_path}", "checkpoint.every_steps=7", "checkpoint.keep_finished=true"]
    folder = train(overrides)
    first = read_diagnostics(folder).lines[-1]
    (folder / "done.json").unlink()
    shutil.rmtree(max((folder / "checkpoints").iterdir(), key=lambda kept: int(kept.name.partition("_")[2])))
    with (folder / "diagnostics.jsonl").open("a") as handle:
        handle.write('{"step":')  # the crash
    train(overrides)
    again = read_diagnostics(folder).lines[-1]
    assert (first["attempt"], again["attempt"]) == (1, 2)
    assert json.loads((folder / "done.json").read_text())["of_attempt"]["from_step"] == 7
    assert first | {"attempt": 2} == again == read_diagnostics(measured[1]).lines[-1] | {"attempt": 2}


def test_the_metrics_of_the_run_pair_its_rows(measured):
    found = metrics_of(load_run(measured[1]))
    for loss in found.losses.values():
        assert loss.change.se < (loss.loss.se**2 + loss.base.se**2) ** 0.5
    content = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert content["weight_drift"]["all"]["relative"]["value"] > 0
    assert len(content["gradient_alignment"]) == len(found.curves["prose"].steps)


def test_what_cannot_be_measured_is_refused_before_training(study):
    with pytest.raises(UserError, match=r"diagnostics\.weight_drift compares the weights"):
        compose_point([*study, "diagnostics.weight_drift=true", "adapter=lora"])
    with pytest.raises(UserError, match=r"diagnostics\.rows is 1; it must be 2 or more"):
        compose_point([*study, "diagnostics.rows=1"])
    with pytest.raises(UserError, match=r"diagnostics\.weight_drft is no key"):
        compose_point([*study, "diagnostics.weight_drft=true"])

"""Sparse training in real runs: what is zero when, what resumes, what the record tells the laws."""

import json
import shutil

import lightning as L
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from cptlab.errors import UserError
from cptlab.laws.average_params import AverageParams
from cptlab.records.read_runs import Runs
from cptlab.records.run import read_rows
from cptlab.sweeps.preflight import compose_point
from cptlab.training import sparse
from cptlab.training.run import open_point, train_point

STEPS20 = ["tokens=1280", "mixture=domain_only", "optimizer.peak_lr=1e-2"]
PRUNED = "proj.weight"  # of a tiny Llama: q, k, v, o, gate, up, down


class Watch(L.Callback):
    """Masked weights, gradients and moments after every step."""

    def __init__(self):
        self.zeros, self.weights, self.moments = [], [], []

    def look(self, module):
        pruned = {n: p.detach().clone() for n, p in module.network.named_parameters() if n.endswith(PRUNED)}
        self.weights.append(pruned)
        self.zeros.append({n: int((p == 0).sum()) for n, p in pruned.items()})

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.look(pl_module)
        states = {id(p): s for p, s in trainer.optimizers[0].state.items()}
        named = dict(pl_module.network.named_parameters())
        self.moments.append({n: states[id(p)]["exp_avg"].clone() for n, p in named.items() if n.endswith(PRUNED)})


def train(overrides, watch=None, monkeypatch=None):
    """The folder of a finished run; `watch` comes right after the callback that masks."""
    if watch:
        wanted = sparse.sparse
        monkeypatch.setattr(sparse, "sparse", lambda *args: [*wanted(*args), watch])
    outcome = train_point(compose_point(overrides), overrides, quiet=True)
    assert outcome.status == "finished", outcome.reason
    return outcome.folder


@pytest.mark.parametrize(
    "more", [["optimizer=adamw"], ["optimizer=muon"], ["replay=mer", "replay.every=2"], ["regularizer=l2_to_base"]]
)
def test_what_is_pruned_is_exactly_zero_after_every_step_and_stays_so(study, tmp_path, monkeypatch, more):
    watch = Watch()
    monkeypatch.setattr(Watch, "on_train_batch_end", lambda self, t, module, *_: self.look(module))
    folder = train([*study, *STEPS20, "sparsity=gradual", f"runs={tmp_path}", *more], watch, monkeypatch)
    shares = [0.5 * (1 - (1 - min(max((step / 20 - 0.25) / 0.5, 0), 1)) ** 3) for step in range(1, 21)]
    for weights, share in zip(watch.weights, shares, strict=True):
        for weight in weights.values():
            assert int((weight == 0).sum()) == int(weight.numel() * share + 1e-9)
    for before, after in zip(watch.weights, watch.weights[1:], strict=False):
        assert all((after[name][weight == 0] == 0).all() for name, weight in before.items())
    saved = load_file(folder / "model" / "model.safetensors")
    halves = {name: (tensor == 0).float().mean().item() for name, tensor in saved.items()}
    assert {share for name, share in halves.items() if name.endswith(PRUNED)} == {0.5}
    assert not any(share for name, share in halves.items() if not name.endswith(PRUNED))


def test_the_smallest_weights_go(study, tmp_path, monkeypatch):
    watch = Watch()
    train([*study, *STEPS20, "sparsity=gradual", "sparsity.start=0.5", "sparsity.end=0.5", f"runs={tmp_path}"], watch, monkeypatch)  # fmt: skip
    before, after = watch.weights[8], watch.weights[9]
    assert [sum(z.values()) for z in watch.zeros[8:10]] == [0, sum(w.numel() for w in after.values()) // 2]
    for name, weight in after.items():
        gone = before[name][weight == 0].abs().median()
        assert gone < weight[weight != 0].abs().median()


def test_static_masks_hold_weights_and_moments_at_zero_until_the_switch_and_then_all_learn(
    study, tmp_path, monkeypatch
):
    watch = Watch()
    train([*study, *STEPS20, "sparsity=spdf", "sparsity.sparsity=0.75", f"runs={tmp_path}"], watch, monkeypatch)
    first = watch.weights[0]
    for step in range(10):
        for name, weight in watch.weights[step].items():
            assert torch.equal(weight == 0, first[name] == 0)
            assert int((weight == 0).sum()) == int(weight.numel() * 0.75)
            assert not watch.moments[step][name][weight == 0].any()
    learned = total = 0
    for name, weight in watch.weights[10].items():  # one step after the switch
        masked, moment = first[name] == 0, watch.moments[10][name]
        assert torch.equal(weight[masked] == 0, moment[masked] == 0)  # all that has a gradient
        learned, total = learned + int((weight[masked] != 0).sum()), total + int(masked.sum())
    assert learned > 0.75 * total  # the others are between units whose inputs or outputs were all masked


def test_the_switch_to_dense_leaves_outputs_unchanged(study, tmp_path):
    """The sparse half alone, and the whole run looked at right after its switch: step 10 of 20, evaluated."""
    spdf = [*study, "mixture=domain_only", "mixture.domain=sums", "optimizer.peak_lr=1e-2", "sparsity=spdf", f"runs={tmp_path}"]  # fmt: skip
    whole = train([*spdf, "tokens=1280", "sparsity.dense_from=0.5", "evaluation.spacing=2"])
    half = train([*spdf, "tokens=640", "sparsity.dense_from=1"])
    at = {(r["domain"], r["split"]): r["loss_sum"] for r in read_rows(whole) if r["step"] == 10 and r["split"] == "fit"}
    end = {(r["domain"], r["split"]): r["loss_sum"] for r in read_rows(half) if r["step"] == 10 and r["split"] == "fit"}
    assert at == end


def test_a_run_that_was_stopped_ends_as_the_one_that_was_not(study, tmp_path):
    for more in (["sparsity=gradual"], ["sparsity=spdf", "sparsity.dense_from=0.7"]):
        common = [*study, *STEPS20, *more, "checkpoint.every_steps=8", "checkpoint.keep_finished=true", "checkpoint.keep=9"]  # fmt: skip
        whole = train([*common, f"runs={tmp_path}/{len(more)}"])
        weights = load_file(whole / "model" / "model.safetensors")
        (whole / "done.json").unlink()
        for step in (16, 20):
            shutil.rmtree(whole / "checkpoints" / f"step_{step}")
        again = train([*common, f"runs={tmp_path}/{len(more)}"])
        assert again == whole
        assert json.loads((whole / "done.json").read_text())["of_attempt"]["from_step"] == 8
        assert all(weights[n].equal(t) for n, t in load_file(whole / "model" / "model.safetensors").items())


def test_sparsity_zero_is_dense_training_bit_by_bit_and_dense_runs_keep_their_run_id(study, tmp_path):
    dense = train([*study, *STEPS20, f"runs={tmp_path}"])
    zero = train([*study, *STEPS20, f"runs={tmp_path}", "sparsity=gradual", "sparsity.sparsity=0"])
    one, other = (load_file(run / "model" / "model.safetensors") for run in (dense, zero))
    assert all(one[name].equal(other[name]) for name in one)
    assert dense.name != zero.name
    assert {row["num_params_mean"] for row in read_rows(dense)} == {0.0}


def test_the_record_holds_the_mean_of_the_active_parameters_and_its_law_reads_it(study, tmp_path):
    runs = tmp_path / "runs"
    base = train([*study, "mixture=general_only", f"runs={tmp_path}"])
    common = [*study, *STEPS20, f"model.base_run={base}", f"runs={runs}", "save_model=false"]
    pruned = train([*common, "sparsity=gradual"])
    train(common)
    facts = json.loads((pruned / "run.json").read_text())
    N = facts["num_params_nonembed"]
    matrices = [64, 64, 64, 64, 128, 128, 128]  # width 8, feed-forward 16
    assert sum(matrices) + 3 * 8 == N  # and the norms
    shares = [0.5 * (1 - (1 - min(max((step / 20 - 0.25) / 0.5, 0), 1)) ** 3) for step in range(20)]
    active = [N - sum(int(m * s + 1e-9) for m in matrices) for s in shares]
    for row in read_rows(pruned):
        assert row["num_params_mean"] == pytest.approx(np.mean(active[: max(row["step"], 1)]))
    table = Runs(path=str(runs)).read()
    means = table.columns["num_params_mean"]
    assert set(means[table.run != pruned.name]) == {float(N)}
    assert means[table.run == pruned.name].min() == pytest.approx(np.mean(active))
    np.testing.assert_allclose(table.columns["flops"], 6 * means * table.columns["tokens"])
    predicted = AverageParams().predict(np.array([1.0, 10, 2, 0.3, 0.4]), table.columns)  # E, A, B, alpha, beta
    np.testing.assert_allclose(predicted, 1 + 10 * means**-0.3 + 2 * table.columns["tokens"] ** -0.4)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["adapter=lora"], "masks the trained weights, and adapter=lora freezes"),
        (["machine=fsdp"], "ranks the weights of a whole matrix"),
        (["optimizer=schedule_free"], "keeps averages of its own"),
        (["stream=[sums,prose]"], "would begin anew in every stage"),
        (["branch.run=x"], "the masks of sparsity=gradual depend on the length"),
    ],
)
def test_what_sparse_training_cannot_go_with_is_refused(study, overrides, words):
    with pytest.raises(UserError, match=words):
        open_point(compose_point([*study, "sparsity=gradual", *overrides]))

import json
import math

import numpy as np
import pytest
import torch

from cptlab.data.packing import Batch, positions
from cptlab.errors import UserError
from cptlab.models.tiny import Tiny
from cptlab.optimizers.adamw import AdamW
from cptlab.records.run import read_rows
from cptlab.schedules.constant import Constant
from cptlab.schedules.wsd import WSD
from cptlab.sweeps.preflight import compose_point
from cptlab.training.evaluate import evaluation_steps, measure, to_tensors
from cptlab.training.module import CPTModule
from cptlab.training.network import Network
from cptlab.training.objective import CLM
from cptlab.training.run import open_point, train_point


def train(overrides):
    return train_point(compose_point(overrides), overrides, quiet=True)


def record(outcome):
    done = json.loads((outcome.folder / "done.json").read_text())
    return json.loads((outcome.folder / "run.json").read_text()), read_rows(outcome.folder), done


def module(schedule=None):
    model = Tiny(size="30k").build(50, 16, 0)
    return CPTModule(Network(model, CLM()), AdamW(peak_lr=0.1), schedule or Constant(), 10, 100)


def logits(net, ids):
    with torch.no_grad():
        return net.network.logits(net.network.inputs(to_tensors(batch(ids))))


def batch(ids, eos=0):
    ids = np.array(ids)
    zeros = np.zeros(len(ids), int)
    return Batch(ids, np.roll(ids, -1, 1), positions(ids == eos), zeros, zeros.astype(bool))


def test_a_finished_point_has_a_whole_record_and_is_skipped_the_second_time(study, tmp_path):
    overrides = [*study, f"runs={tmp_path}", "mixture.domain_share=0.25"]
    outcome = train(overrides)
    facts, rows, done = record(outcome)
    assert done["status"] == "finished", done["reason"]
    assert facts["base"]["kind"] == "scratch"
    assert facts["steps_total"] == 10
    assert {row["step"] for row in rows} == {0, 5, 8, 10}
    assert {(row["domain"], row["split"]) for row in rows if row["step"] == 10} == {
        (domain, split) for domain in ("prose", "sums") for split in ("fit", "valid", "test")
    }
    last = rows[-1]
    assert last["tokens_by_corpus"] == {"prose": 480, "sums": 160}
    assert last["lr_area"] == pytest.approx(10 * 1e-3)
    assert (outcome.folder / "model" / "tokenizer.json").exists()
    assert train(overrides).status == "skipped"
    assert read_rows(outcome.folder) == rows


def test_the_same_configuration_gives_the_same_record_in_another_folder(study, tmp_path):
    volatile = {"seconds", "attempt", "started", "finished"}
    rows = []
    for name in ("one", "two"):
        outcome = train([*study, f"runs={tmp_path / name}", "seed=3"])
        rows.append([{k: v for k, v in row.items() if k not in volatile} for row in record(outcome)[1]])
    assert rows[0] == rows[1]


def test_training_lowers_the_loss_of_what_it_trains_on(study, tmp_path):
    long = ["tokens=12800", "optimizer.peak_lr=1e-2", f"runs={tmp_path}"]
    rows = record(train([*study, *long, "mixture=domain_only"]))[1]
    losses = {row["step"]: row["loss_sum"] / row["num_tokens"] for row in rows if row["domain"] == "sums" and row["split"] == "fit"}  # fmt: skip
    assert losses[0] == pytest.approx(math.log(300), abs=0.1)
    assert losses[200] < losses[0] - 1


def test_a_trained_run_is_a_base_for_the_next_one(study, tmp_path):
    base = train([*study, f"runs={tmp_path}", "mixture=general_only"])
    overrides = [*study, f"runs={tmp_path}", f"model.base_run={base.folder}", "mixture=domain_only"]
    facts, rows, _ = record(train(overrides))
    assert facts["base"]["run_id"] == base.run_id
    first = [r["loss_sum"] for r in rows if r["step"] == 0 and r["domain"] == "prose" and r["split"] == "fit"]
    last = [r["loss_sum"] for r in record(base)[1] if r["step"] == 10 and r["domain"] == "prose" and r["split"] == "fit"]  # fmt: skip
    assert first == pytest.approx(last, rel=1e-6)


def test_a_loss_that_is_no_number_ends_the_run_as_failed_with_its_step(study, tmp_path):
    outcome = train([*study, f"runs={tmp_path}", "optimizer.peak_lr=1e30", "optimizer.clip=0"])
    assert outcome.status == "failed"
    assert "loss" in outcome.reason
    assert "at step" in outcome.reason
    assert record(outcome)[2]["status"] == "failed"
    again = train([*study, f"runs={tmp_path}", "optimizer.peak_lr=1e30", "optimizer.clip=0"])
    assert again.status == "failed"  # a failed point is not skipped
    assert {row["attempt"] for row in read_rows(again.folder)} == {1, 2}


def test_paths_threads_and_tracking_do_not_change_the_run_id(study, tmp_path):
    def identity(*more):
        return open_point(compose_point([*study, *more])).run_id

    assert identity() == identity(f"runs={tmp_path}", "machine.threads=2", "tracking=wandb", "save_model=false")
    assert identity() != identity("seed=1")
    assert identity() != identity("mixture.domain_share=0.4")
    assert identity() != identity("machine.precision=bf16")


def test_a_tokenizer_that_is_not_the_bases_is_refused(study, tmp_path):
    base = train([*study, f"runs={tmp_path}", "mixture=general_only"])
    other = open_point(compose_point([*study, "data.vocab_size=290"])).corpora.tokenizer_path
    with pytest.raises(UserError, match="does not match the base"):
        train([*study, f"model.base_run={base.folder}", f"data.tokenizer={other}"])


def test_changing_one_document_leaves_the_logits_of_the_next_one():
    net = module()
    ids = [[5, 6, 7, 0, 8, 9, 10, 11]]
    changed = [[15, 16, 17, 0, 8, 9, 10, 11]]
    one, other, alone = logits(net, ids), logits(net, changed), logits(net, [[8, 9, 10, 11]])
    torch.testing.assert_close(one[:, 4:], other[:, 4:])
    torch.testing.assert_close(one[:, 4:], alone)
    assert not torch.allclose(one[:, 1:3], other[:, 1:3])


def test_a_later_token_changes_no_earlier_logit():
    net = module()
    one, other = logits(net, [[5, 6, 7, 8]]), logits(net, [[5, 6, 7, 9]])
    torch.testing.assert_close(one[:, :3], other[:, :3])


def test_the_measured_loss_is_that_of_torch_and_its_error_that_of_the_rows():
    net = module()
    rng = np.random.default_rng(0)
    rows = batch(rng.integers(1, 50, (6, 16)))
    got = measure(net, rows, np.full(50, 3), batch_rows=4)
    with torch.no_grad():
        whole = net.network.logits(net.network.inputs(to_tensors(rows)))
    losses = torch.nn.functional.cross_entropy(whole.transpose(1, 2), torch.from_numpy(rows.labels), reduction="none")
    assert got.loss_sum == pytest.approx(losses.sum().item(), rel=1e-5)
    assert (got.num_tokens, got.num_bytes) == (96, 288)
    per_row = losses.mean(1).numpy()
    assert got.loss_se == pytest.approx(per_row.std() / np.sqrt(6), rel=1e-4)


def test_evaluation_steps_are_exponentially_spaced_and_end_at_the_last():
    assert evaluation_steps(160, 9, math.sqrt(2)) == [10, 15, 20, 29, 40, 57, 80, 114, 160]
    assert evaluation_steps(3, 9, 2.0) == [1, 2, 3]


def test_the_optimizer_step_uses_the_clock_after_its_tokens():
    net = module(WSD(warmup_tokens=20, decay_share=0.5))
    optimizer = net.configure_optimizers()
    net.set_learning_rate(optimizer)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.05, 0.05])  # 10 of 20 warm-up tokens


def test_norms_and_embeddings_are_not_decayed():
    size = Tiny(size="30k")
    optimizer = AdamW().build(size.build(50, 16, 0))
    decayed, plain = optimizer.param_groups
    assert decayed["weight_decay"] == 0.1
    assert plain["weight_decay"] == 0.0
    assert sorted({p.ndim for p in decayed["params"]}) == [2]
    assert len(plain["params"]) == 1 + 2 * size.dimensions[1] + 1  # embedding, two norms a layer, final norm


def test_a_run_says_once_which_attention_auto_took_and_why_and_its_record_keeps_both(study, tmp_path, capfd):
    overrides = [*study, f"runs={tmp_path}"]
    outcome = train_point(compose_point(overrides), overrides)
    [line] = [line for line in capfd.readouterr().err.splitlines() if "attention" in line]
    why = "flash kernels need a GPU, and flex has no backward on a cpu"
    assert line == f"{outcome.run_id} attention sdpa: {why}"
    facts = json.loads((outcome.folder / "run.json").read_text())
    assert facts["resolved"] == {"attention": "sdpa", "attention_why": why, "precision": "fp32"}
    named = [*overrides, "machine.attention=sdpa", "seed=7"]
    train_point(compose_point(named), named)
    assert "attention" not in capfd.readouterr().err
    train([*overrides, "seed=8"])
    assert "attention" not in capfd.readouterr().err


def test_a_run_ends_with_one_line_of_speed_wait_and_memory_and_a_quiet_one_without(study, tmp_path, capfd):
    overrides = [*study, f"runs={tmp_path}"]
    outcome = train_point(compose_point(overrides), overrides)
    said = capfd.readouterr().err.splitlines()
    done = json.loads((outcome.folder / "done.json").read_text())["throughput"]
    kept = done[-1] if isinstance(done, list) else done
    wait, peak = f"waited for data {100 * kept['data_wait_share']:.1f} %", f"{kept['peak_host_bytes'] / 1e9:.2f} GB"
    assert [line for line in said if "peak memory" in line] == said[-1:]
    assert said[-1].startswith(outcome.run_id)
    assert "tokens/s, MFU" in said[-1]
    assert said[-1].endswith(f"), {wait}, peak memory {peak} on the host")
    train([*overrides, "seed=8"])
    assert "peak memory" not in capfd.readouterr().err

"""Methods against forgetting on two processes, replicated or sharded, have the losses of one."""

import json
import shutil

import numpy as np
import pytest
from safetensors.torch import load_file

from cptlab.records.run import read_rows
from cptlab.sweeps.preflight import compose_point
from cptlab.training.run import train_point

COMMON = [
    "tokens=1280", "model.depth=2", "optimizer.peak_lr=5e-3", "optimizer.eps=1e-6", "mixture=domain_only",
    "save_model=false",
]  # fmt: skip
GRIDS = [
    (
        ["replay=mer", "replay.every=3", "replay.replay_share=0.4"],
        ["regularizer=rwalk", "regularizer=ewc", "regularizer=kl_to_base"],
    ),
    (["regularizer=kl_to_base", "regularizer.rows=all", "regularizer.source=stored"], ["replay=agem", "replay=gem"]),
]


def curves(runs):
    """{replay and regularizer: {strategy: (losses of all rows, folder)}}."""
    found = {}
    for path in runs.glob("*/run.json"):
        config = json.loads(path.read_text())["config"]
        rows = np.array([row["loss_sum"] / row["num_tokens"] for row in read_rows(path.parent)])
        method = config["replay"]["variant"], config["regularizer"]["variant"]
        found.setdefault(method, {})[config["machine"]["strategy"]] = rows, path.parent
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("fixed", "swept"), GRIDS, ids=["mer", "projected"])
def test_replicas_and_shards_train_as_one_process(study, together, tmp_path, fixed, swept):
    overrides = [*study, *COMMON, *fixed, f"runs={tmp_path}"]
    for choice in swept:
        outcome = train_point(compose_point([*overrides, choice]), [*overrides, choice], quiet=True)
        assert outcome.status == "finished", outcome.reason
    group = swept[0].split("=")[0]
    together(
        2, "-m", *overrides, f"{group}={','.join(choice.split('=')[1] for choice in swept)}",
        "machine=cpu_2", "machine.micro_rows=1", "machine.strategy=ddp,fsdp",
    )  # fmt: skip
    found = curves(tmp_path)
    assert len(found) == len(swept)
    for method, each in found.items():
        assert set(each) == {"single", "ddp", "fsdp"}, method
        alone, folder = each["single"]
        assert abs(alone[-1] - alone[0]) > 1e-2
        for strategy in ("ddp", "fsdp"):
            together, other = each[strategy]
            assert np.abs(together - alone).max() < 1e-5, (method, strategy)
            if "rwalk" in method:
                ours, theirs = (load_file(run / "importance.safetensors") for run in (folder, other))
                assert set(ours) == set(theirs)
                for name, tensor in ours.items():
                    assert (theirs[name] - tensor).abs().max() <= 1e-2 * tensor.abs().max(), name


def test_shards_of_what_is_kept_go_on_with_another_number_of_processes(study, together, tmp_path):
    overrides = [
        *study, *COMMON, "replay=mer", "replay.every=3", "regularizer=rwalk", "regularizer.strength=0",
        "checkpoint.every_steps=11", "checkpoint.keep_finished=true", "machine=cpu_2", "machine.strategy=fsdp",
        f"runs={tmp_path}",
    ]  # fmt: skip
    together(2, *overrides)
    (folder,) = (path.parent for path in tmp_path.glob("*/run.json"))
    left = load_file(folder / "importance.safetensors")
    before = read_rows(folder)
    (folder / "done.json").unlink()
    shutil.rmtree(folder / "checkpoints/step_20")  # as if it had been killed before its end
    together(1, *overrides)
    assert json.loads((folder / "done.json").read_text())["of_attempt"]["from_step"] == 11
    after = [row for row in read_rows(folder) if row["attempt"] == 2]
    assert after[-1]["step"] == 20
    for row, other in zip(reversed(before), reversed(after), strict=False):
        assert row["loss_sum"] / row["num_tokens"] == pytest.approx(other["loss_sum"] / other["num_tokens"], abs=1e-5)
    for name, tensor in load_file(folder / "importance.safetensors").items():
        assert (left[name] - tensor).abs().max() <= 1e-2 * tensor.abs().max(), name

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from known_studies import point

from cptlab.adapters.base import count_trainable
from cptlab.errors import UserError
from cptlab.models.base import count_params
from cptlab.records.lock import RunLock
from cptlab.records.run import write_whole
from cptlab.sweeps import costs, index
from cptlab.sweeps.costs import Cost, disk_warning, seconds_left, total
from cptlab.sweeps.numbers import hours, si
from cptlab.sweeps.preflight import check_points, compose_point
from cptlab.sweeps.rates import Rates, of_gpu, of_records
from cptlab.sweeps.shape import count
from cptlab.sweeps.show import plain_lines
from cptlab.sweeps.state import State, state_of
from cptlab.sweeps.status_table import status_rows, summary
from cptlab.training.checkpoint.disk import MARGIN, readable
from cptlab.training.flops import shape_of

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("size", ["30k", "300k"])
def test_parameters_and_flops_before_a_model_is_built_are_those_of_the_built_one(size, tmp_path):
    config = compose_point([f"model.size={size}", "model.base_run="])
    model = config.model.build(512, 128, 0)
    counts = count(config, 512)
    assert (counts.nonembed, counts.total) == count_params(model)
    assert counts.shape == shape_of(model)
    model.save_pretrained(tmp_path)
    assert count(compose_point(["model=pretrained", f"model.path={tmp_path}"]), 0) == counts


@pytest.mark.parametrize(
    "adapter",
    [
        "adapter=lora adapter.rank=2",
        "adapter=dora adapter.rank=3 adapter.targets=[q_proj,down_proj]",
        "adapter=lora adapter.rank=4 adapter.train_embeddings=true",
    ],
)
@pytest.mark.parametrize("tied", [True, False])
def test_an_adapters_weights_cost_flops_and_disk_and_its_frozen_base_no_gradient(tmp_path, adapter, tied):
    from transformers import LlamaConfig, LlamaForCausalLM

    llama_of = dict(
        vocab_size=64, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, tie_word_embeddings=tied,
    )  # fmt: skip
    model = LlamaForCausalLM(LlamaConfig(**llama_of))
    model.save_pretrained(tmp_path)
    config = compose_point(["model=pretrained", f"model.path={tmp_path}", *adapter.split()])
    counts = count(config, 64)
    assert (counts.nonembed, counts.total) == count_params(model)
    built = config.adapter.apply(model)
    assert counts.shape == shape_of(built)
    assert counts.trainable == count_trainable(built)[0] > 0
    full = count(compose_point(["model=pretrained", f"model.path={tmp_path}"]), 64).shape.flops_per_token(128)
    assert 4 / 6 < counts.shape.flops_per_token(128) / full < 1.1


def test_an_untied_head_counts_and_its_input_table_does_not(tmp_path):
    from transformers import LlamaConfig, LlamaForCausalLM

    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=64, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, tie_word_embeddings=False,
    ))  # fmt: skip
    model.save_pretrained(tmp_path, max_shard_size="5KB")
    counts = count(compose_point(["model=pretrained", f"model.path={tmp_path}"]), 64)
    assert (counts.nonembed, counts.total) == count_params(model)
    assert counts.shape == shape_of(model)


def test_hours_of_a_named_gpu_are_flops_over_its_peak():
    rates = of_gpu("H200", 0.5)
    assert rates.seconds(point(flops_per_token=989e12 * 0.5, tokens=1800)) == pytest.approx(1800)
    assert rates.seconds(point(flops_per_token=989e12, tokens=1800, devices=2)) == pytest.approx(1800)
    with pytest.raises(UserError, match=r"--gpu H20 is not in the table\. Did you mean H200"):
        of_gpu("H20", 0.4)
    with pytest.raises(UserError, match=r"--mfu is 40"):
        of_gpu("H200", 40)


def test_hours_come_from_finished_runs_of_the_nearest_size():
    points = [point(0, flops_per_token=10), point(1, flops_per_token=1000), point(2, flops_per_token=2000)]
    done = State("done", seconds=10.0)
    rates = of_records(points, [done, State("done", seconds=100.0, from_step=5), State("missing")])
    assert rates.seconds(points[0]) == pytest.approx(10)
    assert rates.seconds(points[2]) == pytest.approx(400)  # twice the work of a run that took 200 s
    assert Rates().seconds(points[0]) is None


def test_sums_are_unknown_where_one_part_is():
    assert total([point(), point(1, tokens=500)], Rates(flops_per_second=1.0)) == Cost(1500, 9000.0, 2.5, 80)
    assert total([point()], Rates()).hours is None


def test_the_time_left_counts_no_finished_or_failed_point_and_shares_the_rest_out():
    points = [point(i) for i in range(4)]
    points.append(point(4))
    states = [State("done"), State("running", left=100.0), State("missing"), State("missing"), State("failed")]
    rates = Rates(flops_per_second=6.0)  # 1000 s a point
    assert seconds_left(points, states, rates, 2) == pytest.approx(1050)
    assert seconds_left(points, states, rates, 8) == pytest.approx(1000)  # not less than the longest
    assert seconds_left(points[:1], states[:1], rates, 2) == 0


def test_a_disk_that_will_not_do_is_warned_of(tmp_path):
    assert disk_warning([point(folder=tmp_path)]) == ""
    assert "need" in disk_warning([point(folder=tmp_path, kept=10**18, disk=10**18)])


def test_a_disk_holds_what_stays_and_the_checkpoints_of_those_that_run_at_a_time(tmp_path, monkeypatch):
    points = [point(i, folder=tmp_path, kept=10, disk=size) for i, size in enumerate((110, 60, 30))]
    monkeypatch.setattr(costs, "free_bytes", lambda path: MARGIN + 30 + 100)
    assert disk_warning(points, 1) == ""
    assert f"need {readable(MARGIN + 30 + 150)}" in disk_warning(points, 2)


def test_states_are_read_from_the_folders(tmp_path):
    def run(name, **files):
        (tmp_path / name).mkdir()
        for file, content in files.items():
            write_whole(tmp_path / name / f"{file}.json", content)
        return state_of(tmp_path / name)

    assert run("a", done={"status": "finished", "seconds": 3, "losses": {"x": 1}}).status == "done"
    assert run("b", done={"status": "failed", "reason": "NaN"}).reason == "NaN"
    assert run("c", run={}).status == "interrupted"
    assert run("d", done={"status": "interrupted", "reason": "SIGTERM at step 3"}).status == "interrupted"
    assert state_of(tmp_path / "none").status == "missing"
    lock = RunLock(tmp_path / "e")
    lock.watch(lambda: (5, 20, 2.0))
    lock.acquire()
    state = state_of(tmp_path / "e")
    lock.release()
    assert (state.status, state.step, state.steps) == ("running", 5, 20)
    assert state.left == pytest.approx(30, abs=2)


def test_the_status_says_how_many_of_what_and_how_long():
    points = [point(0), point(1), point(2)]
    states = [
        State("done", seconds=60.0, losses={"law": 2.0}),
        State("running", step=5, steps=10, left=30.0),
        State("missing"),
    ]
    head, rows = status_rows(points, states)
    assert head == ["state", "run", "seed", "step", "left", "what"]
    assert rows[1] == ["running", "id1", "1", "5/10", "30 s", ""]
    assert rows[0][-1] == "law 2.0000"
    line = summary("x", points, states, Rates(), 2)
    assert line == "x: 3 points: 1 done, 1 running, 1 missing; about 1 min 30 s left with 1 at a time"
    assert summary("x", points[:1], states[:1], Rates(), 2) == "x: 1 points: 1 done"


def test_plain_columns_are_as_wide_as_their_longest_cell():
    assert plain_lines(["a", "n"], [["long", "1"], ["b", "20"]], right=(1,)) == ["a      n", "long   1", "b     20"]


@pytest.mark.parametrize(
    ("value", "text"), [(999.6, "1k"), (655360, "655k"), (1.234e9, "1.23G"), (2e16, "2.00e+16"), (5, "5")]
)
def test_large_numbers_are_short(value, text):
    assert si(value) == text


def test_hours_have_the_unit_that_fits():
    expected = ["?", "0 s", "<1 s", "36 s", "30.0 min", "3.14 h"]
    assert [hours(x) for x in (None, 0, 1e-5, 0.01, 0.5, 3.14159)] == expected


def test_the_index_holds_until_a_file_that_the_points_name_changes(study, tmp_path, monkeypatch):
    base = tmp_path / "text.jsonl"
    prose = re.search(r"prose: (\S+?),", study[1])[1]
    base.write_text(Path(prose).read_text())
    points = [
        [*study, f"data.corpora={{prose: {base}, sums: {base}}}", f"runs={tmp_path}", f"seed={s}"] for s in (0, 1)
    ]
    first = index.checked_points(points)
    assert index.known_points(points) == first
    assert index.known_points(points[:1]) is None
    monkeypatch.setattr(index, "checked_points", lambda points: pytest.fail("it composed again"))
    assert index.planned_points(points) == first
    base.write_text(base.read_text() + json.dumps({"text": "one more"}) + "\n")
    assert index.known_points(points) is None


def test_what_is_found_in_configurations_is_found_once_until_a_file_that_they_name_changes(study, tmp_path):
    named = tmp_path / "text.jsonl"
    named.write_text("1")
    points = [[*study, f"runs={tmp_path}/runs", f"data.corpora={{prose: {named}, sums: {named}}}"]]
    seen = []

    def find(configs):
        seen.append(len(configs))
        return {"steps": [config.steps for config in configs]}

    first = index.of_configs(points, "steps", find)
    assert index.of_configs(points, "steps", find) == first
    assert seen == [1]
    index.of_configs(points, "other", find)
    assert seen == [1, 1]
    named.write_text("another")
    index.of_configs(points, "steps", find)
    assert seen == [1, 1, 1]


def test_planned_identities_are_those_of_the_records(study, tmp_path):
    points = [[*study, f"runs={tmp_path}", "tokens=640"]]
    assert [p.run_id for p in index.checked_points(points)] == [p.run_id for p in check_points(points)]


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "cptlab", *arguments], capture_output=True, text=True, cwd=ROOT, env=os.environ
    )


def test_plan_and_status_speak_plainly_to_a_pipe_and_load_no_torch(study, tmp_path):
    grid = tmp_path / "grid.yaml"
    grid.write_text("seeds: [0, 1]\n")
    more = [*study, f"runs={tmp_path}/runs"]
    told = command("plan", str(grid), "--gpu", "H200", "--price", "2", *more)
    assert told.returncode == 0, told.stderr
    assert "still to train: 2 points, 1.28k tokens" in told.stdout
    assert "\x1b" not in told.stdout
    assert "2 missing" in command("status", str(grid), *more).stdout
    code = f"import sys; sys.argv = {['cptlab', 'status', str(grid), *more]}\nfrom cptlab.cli import main\n"
    code += "try: main()\nexcept SystemExit: print(sorted({'torch', 'hydra', 'numpy', 'rich', 'pandas'} & set(sys.modules)))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert told.stdout.splitlines()[-1] == "[]"


def test_a_probe_gives_the_plan_its_hours(study, tmp_path):
    grid = tmp_path / "grid.yaml"
    grid.write_text("seeds: [0]\n")
    more = [*study, f"runs={tmp_path}/runs"]
    started = time.monotonic()
    told = command("plan", str(grid), "--probe", *more)
    assert told.returncode == 0, told.stderr
    assert "time: from a probe of 20 steps" in told.stdout
    assert time.monotonic() - started < 120
    kept = json.loads((tmp_path / "runs" / ".plan" / "probe.json").read_text())
    assert kept["seen"][0][2] > 0
    assert not list((tmp_path / "runs").glob("*/run.json"))
    assert "time: from a probe" in command("plan", str(grid), *more).stdout

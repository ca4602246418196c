"""Streams among the runs of a study: who started from whom, and what is the same way with another seed."""

import pytest
from known_runs import write_run

from cptlab.metrics.chains import chains, streams_of
from cptlab.records.run_folders import load_run, run_folders

FIRST = {0: {"prose": 2.0, "law": 4.0, "code": 5.0}, 10: {"prose": 2.2, "law": 3.0, "code": 5.1}}
SECOND = {0: FIRST[10], 10: {"prose": 2.5, "law": 3.4, "code": 4.0}}


def on(run, step=10):
    """The base of a run that starts from another."""
    return {"kind": "run", "run_id": run, "weights_sha256": f"weights of {run}", "step": step}


def config(replay="none", seed=0):
    return {"seed": seed, "replay": {"variant": replay}, "model": {"base_run": f"runs/{seed}"}, "runs": "runs"}


def read(folder):
    return [load_run(path) for path in run_folders(str(folder))]


def test_a_chain_goes_back_from_a_run_that_none_started_from(tmp_path):
    write_run(tmp_path, "z", FIRST)
    write_run(tmp_path, "b", SECOND, base=on("z"), domain="code")
    write_run(tmp_path, "c", SECOND, base=on("b"))
    write_run(tmp_path, "d", SECOND, base={**on("elsewhere"), "weights_sha256": "weights of z"})  # by its weights
    write_run(tmp_path, "e", SECOND, base=on("z", step=5))  # from an earlier checkpoint: no stage after z
    found = [[run.facts["run_id"] for run in chain] for chain in chains(read(tmp_path))]
    assert found == [["z", "b", "c"], ["z", "d"], ["e"]]


def test_runs_whose_weights_nothing_moved_lead_in_no_circle(tmp_path):
    still = {"kind": "run", "run_id": "elsewhere", "weights_sha256": "same", "step": 10}
    for name in "abc":
        write_run(tmp_path, name, SECOND, base=still)
        done = tmp_path / name / "done.json"
        done.write_text(done.read_text().replace(f"weights of {name}", "same"))
    found = [[run.facts["run_id"] for run in chain] for chain in chains(read(tmp_path))]
    assert all(len(set(chain)) == len(chain) for chain in found)
    assert {"same"} == {run.done["weights_sha256"] for run in read(tmp_path)}


def test_seeds_are_of_the_last_stages_where_streams_share_their_first(tmp_path):
    write_run(tmp_path, "first", FIRST)
    for name, seed in (("y", 3), ("z", 1)):
        write_run(tmp_path, name, SECOND, base=on("first"), domain="code", seed=seed)
    [found] = streams_of(read(tmp_path))
    assert (list(found.runs), list(found.seeds)) == (["first", "z"], [1, 3])


def test_streams_of_one_way_are_one_with_the_seeds_counted(tmp_path):
    for replay in ("none", "reservoir"):
        for seed in (1, 0):
            first, name = f"{replay}{seed}", {"config": config(replay, seed), "seed": seed}
            write_run(tmp_path, first, FIRST, **name)
            write_run(tmp_path, f"{first}-2", SECOND, base=on(first), domain="code", **name)
    write_run(tmp_path, "alone", FIRST, config=config("fixed"))
    found = streams_of(read(tmp_path))
    assert [(one.order, one.way, list(one.runs), list(one.seeds)) for one in found] == [
        ("law → code", "replay.variant=none", ["none0", "none0-2"], [0, 1]),
        ("law → code", "replay.variant=reservoir", ["reservoir0", "reservoir0-2"], [0, 1]),
    ]
    assert found[0].found.learned.value == pytest.approx(3.5)  # law 3, code 4
    assert found[0].found.backward["law"].value == pytest.approx(-0.4)


def test_another_order_is_another_stream_and_the_longest_comes_first(tmp_path):
    write_run(tmp_path, "a", FIRST)
    write_run(tmp_path, "b", SECOND, base=on("a"), domain="code")
    write_run(tmp_path, "c", FIRST, domain="code")
    write_run(tmp_path, "d", SECOND, base=on("c"))
    write_run(tmp_path, "e", SECOND, base=on("d"), domain="code")
    assert [(one.order, one.way) for one in streams_of(read(tmp_path))] == [
        ("code → law → code", ""),
        ("law → code", ""),
    ]


def test_runs_that_all_started_from_one_base_are_no_stream(tmp_path):
    for name in "abc":
        write_run(tmp_path, name, FIRST)
    assert streams_of(read(tmp_path)) == []

"""Training losses by corpus, since the last evaluation."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from cptlab.data.packing import IGNORE
from cptlab.records.run import read_rows
from cptlab.sweeps.preflight import compose_point
from cptlab.training.build import build_whole
from cptlab.training.corpus_losses import CorpusLosses
from cptlab.training.evaluate import to_tensors
from cptlab.training.network import Network
from cptlab.training.run import open_point, train_point


def test_rows_are_added_to_their_corpus_and_taken_once():
    kept = CorpusLosses(["a", "b", "c"])
    labels = torch.tensor([[1, IGNORE], [2, 3], [4, 5]])
    losses = torch.tensor([[0.5, 0.0], [1.0, 2.0], [4.0, 8.0]])
    kept.add(losses, labels, torch.tensor([2, 0, 2]))
    kept.add(losses[:1], labels[:1], torch.tensor([2]))
    assert kept.take() == {"a": (3.0, 2), "b": (0.0, 0), "c": (13.0, 4)}
    assert kept.take() == {"a": (0.0, 0), "b": (0.0, 0), "c": (0.0, 0)}


def test_what_two_processes_kept_is_taken_up_by_one():
    kept = CorpusLosses(["a", "b"])
    kept.load_state_dict({"kept": [[[1.0, 2.0], [3.0, 4.0]], [[10.0, 20.0], [30.0, 40.0]]], "copies": 1})
    assert kept.take() == {"a": (11.0, 33), "b": (22.0, 44)}
    kept.load_state_dict({"kept": [[[0.1, 0.2], [3.0, 4.0]]], "copies": 1})
    again = CorpusLosses(["a", "b"])
    again.load_state_dict(kept.state_dict())
    assert again.take() == {"a": (0.1, 3), "b": (0.2, 4)}


@pytest.mark.parametrize("more", [[], ["machine.micro_rows=1"]], ids=["one pass", "passes"])
def test_the_record_has_the_losses_of_the_rows_that_were_trained_on(study, tmp_path, more):
    overrides = [*study, f"runs={tmp_path}", "optimizer.peak_lr=1e-12", "mixture.domain_share=0.4", *more]
    run = train_point(compose_point(overrides), overrides, quiet=True).folder
    point = open_point(compose_point(overrides))
    network = Network(build_whole(point), point.config.objective)
    found = {(row["domain"], row["step"]): row for row in read_rows(run) if row["split"] == "fit"}
    steps = sorted({step for _, step in found})
    assert steps[0] == 0
    assert len(steps) == 4
    for i, name in enumerate(point.stream.names):
        assert (found[name, 0]["train_loss_sum"], found[name, 0]["train_num_tokens"]) == (0, 0)
        for before, step in pairwise(steps):
            batches = [point.stream.batch(at) for at in range(before, step)]
            with torch.no_grad():
                losses = [network(network.inputs(to_tensors(b)))[1].double().sum(-1).numpy() for b in batches]
            own = [b.corpus == i for b in batches]
            count = sum(int((b.labels[o] != IGNORE).sum()) for b, o in zip(batches, own, strict=True))
            total = sum(float(loss[o].sum()) for loss, o in zip(losses, own, strict=True))
            assert found[name, step]["train_num_tokens"] == count > 0
            assert np.isclose(found[name, step]["train_loss_sum"], total, rtol=1e-5)

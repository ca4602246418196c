"""A sample of schedule x replay x mixture x regulariser: each variant is in it, and each point trains."""

import importlib.util
import itertools
from pathlib import Path

import pytest

from cptlab.sweeps.preflight import compose_point
from cptlab.training.run import train_point

FILE = Path(__file__).parents[2] / "benchmarks" / "compose_matrix.py"
spec = importlib.util.spec_from_file_location("compose_matrix", FILE)
matrix = importlib.util.module_from_spec(spec)
spec.loader.exec_module(matrix)
POINTS = matrix.each_once(matrix.choices())


@pytest.fixture(scope="module")
def common(tmp_path_factory):
    folder = tmp_path_factory.mktemp("matrix")
    return folder, [*matrix.study(folder), "tokens=384", "evaluation.points=1"]  # 6 steps


def test_the_sample_holds_every_variant_and_the_pairs_hold_every_pair():
    groups = matrix.choices()
    assert {choice for point in POINTS for choice in point} == {choice for group in groups for choice in group}
    covered = set().union(*map(matrix.pairs, matrix.all_pairs(groups)))
    for one, other in itertools.combinations(groups, 2):
        for pair in itertools.product(one, other):
            assert (frozenset(pair) in covered) != matrix.refused(pair)


@pytest.mark.parametrize("point", POINTS, ids="-".join)
def test_a_point_of_the_matrix_trains(common, point):
    folder, shared = common
    overrides = [*shared, *matrix.overrides_of(point, folder)]
    outcome = train_point(compose_point(overrides), overrides, quiet=True)
    assert outcome.status == "finished", outcome.reason

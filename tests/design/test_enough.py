"""Where `cptlab sweep --tolerance` asks a study's question."""

import pytest
import yaml

from cptlab.design.asked import size_of
from cptlab.design.enough import Enough
from cptlab.errors import UserError
from cptlab.sweeps.preflight import compose_points
from cptlab.sweeps.study import read_study


def write(study, folder, budgets=(1920, 3840), **question):
    """Widths 8 and 12 x two budgets; the wider one has a further point of fewer tokens."""
    fixed = {key: yaml.safe_load(value) for key, value in (text.split("=", 1) for text in study)}
    del fixed["model.width"], fixed["tokens"]
    fixed["model.base_run"] = ""  # read as null
    content = {
        "name": "mine", "law": "dcpt",
        "question": {"question": "tradeoff", "question.max_general_rise": 0.05}
        | {f"question.{key}": value for key, value in question.items()},
        "fixed": fixed | {"runs": str(folder / "runs")},
        "axes": {"model.width": [8, 12], "mixture.domain_share": [0.25, 0.75]}, "budgets": list(budgets),
        "points": [{"model.width": 8, "mixture.domain_share": 0.5, "tokens": 7680}],
    }  # fmt: skip
    folder.mkdir(exist_ok=True)
    (folder / "grid.yaml").write_text(yaml.safe_dump(content))
    return read_study(folder, [])


def sizes_of(given):
    return sorted({size_of(config) for config in compose_points(given.points)})


@pytest.mark.parametrize(("named", "tokens"), [(None, 3840), (1, 3840), (0, 7680)])
def test_the_question_is_asked_at_the_most_tokens_of_the_size_it_names(study, tmp_path, named, tokens):
    sizes = sizes_of(write(study, tmp_path))
    given = {} if named is None else {"num_params": sizes[named]}
    question = Enough(write(study, tmp_path, **given), 0.02).config.question
    assert (question.num_params, question.tokens) == (sizes[1 if named is None else named], tokens)


def test_tokens_that_the_question_names_stay(study, tmp_path):
    given = write(study, tmp_path, tokens=1920)
    question = Enough(given, 0.02).config.question
    assert (question.num_params, question.tokens) == (sizes_of(given)[1], 1920)


def test_a_size_that_no_point_has_is_refused_with_the_closest(study, tmp_path):
    closest = f"{sizes_of(write(study, tmp_path))[1]:,}"
    with pytest.raises(
        UserError, match=rf"num_params is 1,000,000, which no point of .* the closest size is {closest}"
    ):
        Enough(write(study, tmp_path, num_params=1e6), 0.02)


def test_a_question_of_a_size_and_tokens_beyond_the_points_stays_as_it_is(study, tmp_path):
    question = Enough(write(study, tmp_path, num_params=1e6, tokens=1e9), 0.02).config.question
    assert (question.num_params, question.tokens) == (1e6, 1e9)


@pytest.mark.parametrize("name", ["sp ace", "par (1)", "it's"])
def test_records_are_read_where_they_are_whatever_the_folder_is_called(study, tmp_path, name):
    enough = Enough(write(study, tmp_path / name), 0.02)
    assert enough.config.source.path == str(enough.runs)

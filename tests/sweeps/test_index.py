"""A kept plan holds as long as the text, the bases and whatever else its points name are what they were."""

import json
import os

import pytest

from cptlab.sweeps import index
from cptlab.sweeps.preflight import check_points, compose_point


def text(number, documents=2):
    told = (f"{number} and {i} make {number + i}, said the miller of mill {i * number} " * 4 for i in range(documents))
    return "".join(json.dumps({"text": each}) + "\n" for each in told)


@pytest.fixture
def kept(study, tmp_path):
    """Files in tmp_path/texts; a function that tells how often the points' configurations were composed until now."""
    composed = []

    def looks(prose, *more):
        points = [[*study, f"runs={tmp_path}/runs", f"++data.corpora={{prose: '{prose}'}}", *more]]
        index.of_configs(points, "seen", lambda configs: composed.append(1) or "found")
        return len(composed)

    for number in range(70):
        file = tmp_path / "texts" / "a" / "b" / "c" / f"part_{number:02}.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text(number))
    return looks


def moved(file):
    """Written again with as many bytes, a second later."""
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 10**9))


@pytest.mark.parametrize(
    "pattern", ["texts/a/b/c/*.jsonl", "texts/**/*.jsonl", "texts/?/b/c/part_[0-9][0-9].jsonl", "texts"]
)
def test_a_plan_is_made_anew_where_any_of_many_files_changes_comes_or_goes(kept, tmp_path, pattern):
    folder = tmp_path / "texts" / "a" / "b" / "c"
    assert [kept(tmp_path / pattern) for _ in range(2)] == [1, 1]
    moved(folder / "part_69.jsonl")
    assert [kept(tmp_path / pattern) for _ in range(2)] == [2, 2]
    (folder / "part_70.jsonl").write_text(text(70))
    assert [kept(tmp_path / pattern) for _ in range(2)] == [3, 3]
    (folder / "part_33.jsonl").rename(folder / "part_71.jsonl")
    assert [kept(tmp_path / pattern) for _ in range(2)] == [4, 4]
    (folder / "part_05.jsonl").unlink()
    assert [kept(tmp_path / pattern) for _ in range(2)] == [5, 5]


def test_a_glob_is_blind_to_what_it_does_not_match(kept, tmp_path):
    assert kept(tmp_path / "texts" / "a" / "b" / "c" / "*.jsonl") == 1
    (tmp_path / "texts" / "a" / "b" / "c" / "notes.bak").write_text("x")
    assert kept(tmp_path / "texts" / "a" / "b" / "c" / "*.jsonl") == 1


def test_a_file_named_with_its_field_is_watched(kept, tmp_path):
    quiz = tmp_path / "quiz.jsonl"
    quiz.write_text("{}\n")
    more = f"data.decontaminate=['{quiz}:question']"
    assert [kept(tmp_path / "texts", more) for _ in range(2)] == [1, 1]
    moved(quiz)
    assert kept(tmp_path / "texts", more) == 2


def test_a_separator_is_no_folder(study):
    config = compose_point([*study, "data.separator=/"])
    assert [path for path in index._stamps([config]) if not path.endswith(".jsonl")] == []


def test_points_of_a_glob_get_the_identity_of_the_changed_text(study, tmp_path):
    (tmp_path / "p").mkdir()
    for number in range(3):
        (tmp_path / "p" / f"{number}.jsonl").write_text(text(number, 200))
    given = f"data.corpora={{prose: '{tmp_path}/p/*.jsonl', sums: '{tmp_path}/**/?.jsonl'}}"
    points = [[*study, given, f"runs={tmp_path}/runs", f"data.cache_dir={tmp_path}/cache"]]
    first = index.planned_points(points)
    assert index.planned_points(points) == first
    (tmp_path / "p" / "1.jsonl").write_text(text(7, 200))
    second = index.planned_points(points)
    assert second[0].run_id != first[0].run_id
    assert [point.run_id for point in check_points(points)] == [point.run_id for point in second]


def test_what_changes_while_it_is_read_is_read_again(study, tmp_path):
    file = tmp_path / "prose.jsonl"
    file.write_text(text(0))
    points = [[*study, f"runs={tmp_path}/runs", f"++data.corpora={{prose: {file}}}"]]
    seen = [index.of_configs(points, "seen", lambda configs: (len(file.read_text()), file.write_text(text(1, 3)))[0])]
    seen.append(index.of_configs(points, "seen", lambda configs: len(file.read_text())))
    assert seen == [len(text(0)), len(text(1, 3))]

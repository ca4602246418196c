"""Texts of a study file reach the configuration as they are, whatever characters they have."""

from pathlib import Path

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from cptlab.errors import UserError
from cptlab.sweeps.index import index_file, runs_folder
from cptlab.sweeps.preflight import compose_point
from cptlab.sweeps.study import read_study
from cptlab.sweeps.values import text_of, value_text

FOLDERS = (
    "übung", "sp ace", "it's", "(new)", "a#b", "a+b", "~a", "a=b", "a,b", "a:b", "{a}", 'say "x"', "back\\slash",
    "it\\'s", "ends\\", "'", "语料",
)  # fmt: skip


def read(text):
    """What Hydra makes of a value."""
    [override] = OverridesParser.create().parse_overrides([f"key={text}"])
    return override.value()


def test_a_text_is_told_to_hydra_in_its_own_grammar():
    assert value_text("runs/a_b-c+1.5") == "runs/a_b-c+1.5"
    assert value_text("übung") == "'übung'"
    assert value_text("it's a\\b\\") == r"'it\'s a\b\\'"
    assert value_text(["a", "", None, True, 1e-3]) == "[a,'',null,true,0.001]"


odd = st.sampled_from("ab'\"\\ ,=:(){}[]#+~ü语")
letters = st.text(odd | st.characters(exclude_characters="$", categories=["L", "P", "S", "Zs"]))


@given(letters.map(lambda text: f"/{text}"))
def test_any_text_comes_back_from_hydra_and_from_its_override(text):
    assert read(value_text(text)) == text
    assert text_of(value_text(text)) == text
    assert read(value_text([text, {"key": text}])) == [text, {"key": text}]


@pytest.mark.parametrize("typed", ["a/b", r"a\ b", r"a\=b", "'a b'", '"it\'s"', r"'it\'s'", r'"a\\"', " a ", r"'a\b'"])
def test_what_a_user_types_is_read_as_hydra_reads_it(typed):
    assert text_of(typed) == read(typed)


@pytest.mark.parametrize("name", ["übung", "it's", "a:b", "a,b", ""])
def test_a_name_that_hydra_cannot_hold_in_a_mapping_is_refused(tmp_path, name):
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump({"fixed": {"data.corpora": {name: "x.jsonl"}}, "seeds": [0]}))
    with pytest.raises(UserError, match="cannot be a name in a mapping of a study; use a to z"):
        read_study(tmp_path, [])


@pytest.mark.parametrize("name", ["law_en", "a-b.c", "7", "a b"])
def test_a_name_that_hydra_can_hold_comes_back(name):
    assert [str(key) for key in read(value_text({name: 1}))] == [name]


@pytest.mark.parametrize("name", FOLDERS)
def test_a_study_in_an_oddly_named_folder_keeps_its_plan_beside_its_runs(tmp_path, name):
    runs = f"{tmp_path}/{name}/runs"
    fixed = {"runs": runs, "data": "files", "data.corpora": {"prose": f"{tmp_path}/{name}/prose.jsonl"}}
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump({"fixed": fixed, "seeds": [0]}))
    study = read_study(tmp_path, [])
    config = compose_point(study.points[0])
    assert (config.runs, config.data.corpora) == (runs, fixed["data.corpora"])
    assert runs_folder(study.points[0]) == Path(runs)
    assert index_file(study.points).parent == Path(runs, ".plan")


def test_the_last_word_on_runs_counts_however_it_is_given():
    assert runs_folder(["seed=0"]) == Path("runs")
    assert runs_folder(["runs=a", "runs='it\\'s'"]) == Path("it's")
    assert runs_folder(["runs=a", "++runs=b"]) == Path("b")

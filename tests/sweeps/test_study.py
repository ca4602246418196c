import shlex
import subprocess

import pytest

from cptlab.cli import main
from cptlab.errors import UserError
from cptlab.launch import compose_fit
from cptlab.records.run import write_whole
from cptlab.sweeps.cli import planned_of
from cptlab.sweeps.preflight import check_points
from cptlab.sweeps.study import read_study


def points(tmp_path, text):
    file = tmp_path / "grid.yaml"
    file.write_text(text)
    return read_study(file, []).points


def test_budgets_and_seeds_are_axes_and_a_point_keeps_its_own_seed(tmp_path):
    text = "axes: {mixture.domain_share: [0, 1]}\nbudgets: [1e5]\nseeds: [0, 1]\npoints: [{model.size: 30k, seed: 7}]\n"
    assert points(tmp_path, text) == [
        ["mixture.domain_share=0", "tokens=1e5", "seed=0"],
        ["mixture.domain_share=0", "tokens=1e5", "seed=1"],
        ["mixture.domain_share=1", "tokens=1e5", "seed=0"],
        ["mixture.domain_share=1", "tokens=1e5", "seed=1"],
        ["model.size=30k", "seed=7"],
    ]


def test_seeds_multiply_listed_points_and_stand_alone(tmp_path):
    assert points(tmp_path, "seeds: [0, 1]\npoints: [{tokens: 1e5}]") == [
        ["tokens=1e5", "seed=0"],
        ["tokens=1e5", "seed=1"],
    ]
    assert points(tmp_path, "seeds: [3, 4]") == [["seed=3"], ["seed=4"]]


def test_an_exclusion_takes_the_points_that_have_all_of_its_values(tmp_path):
    text = "axes: {model.size: [30k, 100k], seed: [0, 1, 2]}\nexclude: [{model.size: 30k, seed: [1, 2]}, {seed: 2}]"
    assert points(tmp_path, text) == [
        ["model.size=30k", "seed=0"], ["model.size=100k", "seed=0"], ["model.size=100k", "seed=1"]
    ]  # fmt: skip


def test_an_exclusion_knows_numbers_however_they_are_written(tmp_path):
    assert points(tmp_path, "axes: {tokens: [1e6, 2000000]}\nexclude: [{tokens: 1000000}]") == [["tokens=2000000"]]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("seeds: [0]\nexclude: [{seed: 1}]", "exclude seed=1 matches no point"),
        ("seeds: [0]\nfixed: {seed: 1}", "seeds are an axis of seed, which axes or fixed name already"),
        ("budgets: 1e6", "budgets must be a list"),
        ("axes: {seed: [0]}\nlaw: dcptt", r"law=dcptt does not exist\. Did you mean dcpt\?"),
        ("axes: {seed: [0]}\nquestion: {law.x: 1}", "question has the key law.x"),
        ("axes: {lr_schedule: [constant, wsd], lr_schedule.decay_share: [0.1]}",
         r"axes cross variants: lr_schedule\.decay_share is no key of lr_schedule=constant.*list explicit points"),
        ("axes: {seed: [0]}\nbases: {command: make bases}", "bases needs command and a list `makes`"),
        ("axes: {seed: [0]}\nbases: {grid: no.yaml, as: x}", r"bases\.grid is no\.yaml, and .*no\.yaml does not exist"),
        ("fixed: {seed: 1}\naxes: {seed: [0, 1]}", "seed is an axis and fixed; drop one"),
        ("fixed: {tokens: 1e6}\naxes: {seed: [0, 1, 0]}", r"points 1 and 3 of 3 are the same \(seed=0\); drop one"),
        ("axes: {seed: [0, 1]}\npoints: [{seed: 1}]", r"points 2 and 3 of 3 are the same \(seed=1\)"),
        ("points: [{seed: 1, tokens: 1e5}, {tokens: 100000, seed: 1}]", r"points 1 and 2 of 2 are the same"),
        ("points: [{}, {seed: 1}]", "points must be a list of mappings, each of one key or more"),
        ("axes: {seed: [0]}\nbases: {comand: x}", r"bases\.comand is no key of bases\. Did you mean command\?"),
    ],
)  # fmt: skip
def test_a_study_that_says_nonsense_is_refused(tmp_path, text, sentence):
    with pytest.raises(UserError, match=sentence):
        points(tmp_path, text)


@pytest.mark.parametrize("text", ["hydra/launcher: slurm", "+hydra.launcher.partition: gpu", "hydra.sweep.dir: x"])
@pytest.mark.parametrize("command", ["plan", "sweep", "status"])
def test_settings_of_hydra_are_refused_with_the_command_that_takes_them(study, tmp_path, capsys, text, command):
    file = tmp_path / "grid.yaml"
    own = text.replace(": ", "=")
    for given, more in ((f"seeds: [0]\nfixed: {{{text}}}\n", []), ("seeds: [0]\n", [own])):
        file.write_text(given)
        with pytest.raises(SystemExit) as ended:
            main([command, str(file), *study, f"runs={tmp_path}/runs", *more])
        assert ended.value.code == 2
        said = capsys.readouterr().err
        assert f"{own} is a setting of Hydra" in said
        assert f"`python train.py -m hydra/sweeper=study hydra.sweeper.file={tmp_path} {own}`" in said
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("second", ["grid.yaml", "other.yaml"])
def test_a_study_among_its_own_bases_is_refused(tmp_path, second):
    for file, grid in (("grid.yaml", second), ("other.yaml", "grid.yaml")):
        (tmp_path / file).write_text(f"seeds: [0]\nbases: {{grid: {grid}, as: x}}\n")
    with pytest.raises(UserError, match=r"grid\.yaml: bases\.grid leads back to .*grid\.yaml"):
        read_study(tmp_path, [])


def test_axes_may_meet_variants_that_all_have_the_key(tmp_path):
    text = "axes: {lr_schedule: [wsd, cosine], lr_schedule.floor: [0, 0.1]}"
    assert len(points(tmp_path, text)) == 4


def test_what_answers_the_question_is_a_command(tmp_path):
    file = tmp_path / "grid.yaml"
    file.write_text("seeds: [0]\nlaw: {law: dcpt, law.min_irreducible: -10}\nquestion: tradeoff\n")
    expected = "python fit_law.py source=runs source.path=runs/x law=dcpt law.min_irreducible=-10 question=tradeoff"
    assert read_study(file, []).fit_command("runs/x") == expected


@pytest.mark.parametrize("name", ["it's", "sp ace", "(new) $x", "übung", "a=b"])
def test_that_command_can_be_pasted_into_a_shell_whatever_the_folder_is_called(tmp_path, name):
    (tmp_path / "grid.yaml").write_text("seeds: [0]\nlaw: dcpt\nquestion: {question: what_if, question.text: a b}\n")
    study = read_study(tmp_path, [])
    asked = subprocess.run(
        ["sh", "-c", study.fit_command(f"/x/{name}/runs").replace("python fit_law.py", "printf '%s\\n'")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert asked.stdout.splitlines() == study.fit_overrides(f"/x/{name}/runs")


@pytest.mark.parametrize("name", ["it's", "sp ace", "(new)", "übung", "a=b"])
def test_the_fit_of_a_study_is_checked_whatever_its_folder_is_called(tmp_path, name):
    (tmp_path / "grid.yaml").write_text("seeds: [0]\nlaw: dcpt\n")
    study = read_study(tmp_path, [])
    study.check_fit(f"{tmp_path}/{name}")
    assert compose_fit(study.fit_overrides(f"{tmp_path}/{name}")).source.path == f"{tmp_path}/{name}"


def test_the_command_with_hydras_own_settings_can_be_pasted_too(tmp_path):
    (tmp_path / "it's").mkdir()
    (tmp_path / "it's" / "grid.yaml").write_text("seeds: [0]\nfixed: {hydra.launcher.partition: gpu now}\n")
    with pytest.raises(UserError) as refused:
        read_study(tmp_path / "it's", [])
    words = shlex.split(str(refused.value).split("`")[1])
    assert words[:4] == ["python", "train.py", "-m", "hydra/sweeper=study"]
    assert words[4:] == [f"hydra.sweeper.file='{tmp_path}/it\\'s'", "hydra.launcher.partition='gpu now'"]


@pytest.mark.parametrize("command", ["plan", "sweep"])
def test_a_wrong_key_of_the_question_is_told_before_anything_starts(study, tmp_path, capsys, command):
    file = tmp_path / "grid.yaml"
    file.write_text("seeds: [0]\nlaw: dcpt\nquestion: {question: tradeoff, question.max_general_rse: 1}\n")
    with pytest.raises(SystemExit) as ended:
        main([command, str(file), *study, f"runs={tmp_path}/runs"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "grid.yaml: question.max_general_rse is no key" in said
    assert "Did you mean question.max_general_rise?" in said
    assert not (tmp_path / "runs").exists()


def test_a_value_out_of_range_at_point_37_is_found_before_anything_starts(study, tmp_path):
    grid = [[*study, f"seed={seed}", "mixture.domain_share=0.5"] for seed in range(40)]
    grid[36][-1] = "mixture.domain_share=1.5"
    with pytest.raises(UserError, match=r"mixture\.domain_share is 1\.5.*point 37 of 40.*nothing was started"):
        check_points([[*point, f"runs={tmp_path}"] for point in grid])
    assert not list(tmp_path.iterdir())


def test_two_spellings_of_one_run_are_refused(study):
    with pytest.raises(UserError, match=r"points 1 and 2 of 2 are the same run \(tokens=641; tokens=645\)"):
        check_points([[*study, "tokens=641"], [*study, "tokens=645"]])  # both ten steps


def test_a_missing_base_says_how_to_make_it(study, tmp_path):
    with pytest.raises(UserError, match=r"no trained base in .*nowhere.*python train\.py model=tiny"):
        check_points([[*study, f"model.base_run={tmp_path}/nowhere"]])
    file = tmp_path / "grid.yaml"
    file.write_text(f"seeds: [0]\nbases: {{command: make bases, makes: [{tmp_path}/base]}}\n")
    with pytest.raises(UserError, match=r"1 of its bases is not trained yet.*`make bases`"):
        planned_of(read_study(file, study))


def test_bases_of_a_command_are_made_once_and_a_command_that_makes_none_is_told(tmp_path):
    file = tmp_path / "grid.yaml"
    file.write_text(f"seeds: [0]\nbases: {{command: 'true', makes: [{tmp_path}/base]}}\n")
    bases = read_study(file, []).bases
    assert [folder.name for folder in bases.missing()] == ["base"]
    with pytest.raises(UserError, match=r"`?true`? ended well but .*base is no finished run"):
        bases.make(lambda path: [])
    (tmp_path / "base").mkdir()
    write_whole(tmp_path / "base" / "done.json", {"status": "finished"})
    assert bases.missing() == []


@pytest.mark.parametrize("command", ["no-such-program at all", "make 'bases"])
def test_a_command_that_cannot_be_run_is_told_as_the_studys_mistake(tmp_path, command):
    file = tmp_path / "grid.yaml"
    file.write_text(f'seeds: [0]\nbases: {{command: "{command}", makes: [{tmp_path}/base]}}\n')
    with pytest.raises(UserError, match=r"bases\.command `.*` cannot be run \(.*\); mend the study"):
        read_study(file, []).bases.make(lambda path: [])


def test_bases_of_a_grid_appear_under_the_names_of_their_values(tmp_path):
    (tmp_path / "bases.yaml").write_text("axes: {model.size: [30k, 100k]}\n")
    file = tmp_path / "grid.yaml"
    file.write_text(f"seeds: [0]\nbases: {{grid: bases.yaml, as: '{tmp_path}/bases/{{model.size}}'}}\n")
    bases = read_study(file, []).bases
    assert [folder.name for folder in bases.missing()] == ["30k", "100k"]
    runs = {size: tmp_path / "runs" / name for size, name in (("30k", "ab"), ("100k", "cd"))}
    for run in runs.values():
        run.mkdir(parents=True)
        write_whole(run / "done.json", {"status": "finished"})
    bases.make(lambda bases: [(point, runs[point[0].removeprefix("model.size=")]) for point in bases.points])
    assert (tmp_path / "bases" / "100k").resolve() == runs["100k"]
    assert bases.missing() == []
    write_whole(runs["30k"] / "run.json", {"overrides": ["model.size=30k"]})
    assert bases.changed() == ""
    write_whole(runs["100k"] / "run.json", {"overrides": ["model.size=100k", "tokens=1e6"]})
    assert "bases/100k was trained with other settings than" in bases.changed()
    assert "(tokens=1e6)" in bases.changed()


def test_bases_are_no_branches(tmp_path):
    (tmp_path / "bases.yaml").write_text("axes: {model.size: [30k]}\nbudgets: [1e5, 1e6]\nbranches: true\n")
    file = tmp_path / "grid.yaml"
    file.write_text(f"seeds: [0]\nbases: {{grid: bases.yaml, as: '{tmp_path}/bases/{{tokens}}'}}\n")
    with pytest.raises(UserError, match="bases are trained whole"):
        read_study(file, []).bases.missing()

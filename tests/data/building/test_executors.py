import json
import os
import sys
from pathlib import Path

import pytest

from cptlab.data.building import executors, spool
from cptlab.data.corpus import SubmittedError, prepare
from cptlab.data.sources.base import SPLITS
from cptlab.data.sources.files import Files
from cptlab.errors import UserError


def source(tmp_path, path, cache="cache", **fields):
    shared = {"vocab_size": 300, "sequence_length": 16, "cache_dir": str(tmp_path / cache)}
    return Files(corpora={"a": path}, **shared | fields)


def content(corpora) -> list[str]:
    return [corpora["a"][split].content_hash for split in SPLITS]


@pytest.fixture
def small_tasks(monkeypatch):
    real = spool.spool
    monkeypatch.setattr(executors, "spool", lambda *given: real(*given, chars=40_000))


def test_filters_without_datatrove_say_what_to_install(tmp_path, jsonl, monkeypatch):
    monkeypatch.setitem(sys.modules, "datatrove", None)
    with pytest.raises(UserError, match=r"need datatrove; pip install 'cptlab\[corpora\]'"):
        prepare(source(tmp_path, jsonl(), filters=["gopher_quality"]))


def test_slurm_without_a_partition_is_refused():
    with pytest.raises(UserError, match="needs --partition"):
        executors.Cluster("slurm", 2)


def test_ray_that_is_not_installed_is_said_before_anything_is_read(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"--executor ray needs Ray; pip install 'cptlab\[ray\]'"):
        executors.Cluster("ray", 2)


def test_without_sbatch_the_sentence_says_so_and_the_build_can_go_on(trove, tmp_path, jsonl, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    given = source(tmp_path, jsonl())
    for _ in range(2):
        with pytest.raises(UserError, match="sbatch could not be run"):
            prepare(given, cluster=executors.Cluster("slurm", 2, partition="main"))
    made = prepare(given)
    assert content(made) == content(prepare(source(tmp_path, jsonl(), "plain")))


@pytest.fixture
def trove():
    pytest.importorskip("datatrove")
    pytest.importorskip("spacy")


def test_datatroves_local_executor_gives_the_bytes_of_a_build_without_it(trove, tmp_path, jsonl, small_tasks):
    plain = prepare(source(tmp_path, jsonl()))
    tokenizer = {"tokenizer": plain.tokenizer_path}
    tasks = prepare(source(tmp_path, jsonl(), "tasks", **tokenizer), cluster=executors.Cluster("local", 1))
    assert content(tasks) == content(plain)
    assert tasks.duplicates == plain.duplicates
    assert not list(Path(tasks.path).glob("text"))


def test_documents_that_are_held_out_are_counted_by_tasks_too(trove, tmp_path, jsonl, texts, small_tasks):
    given = {"valid": {"a": jsonl("v.jsonl", texts[:150])}}
    tasks = prepare(source(tmp_path, jsonl(), **given), cluster=executors.Cluster("local", 1))
    assert tasks.left_out == {"a": {"held_out": 150}}
    assert tasks["a"]["train"].num_documents == len(texts) - 150


def english(text: str) -> str:
    """The words of a text forwards and backwards, a stop word after each."""
    words = text.strip(".").split()
    stops = ("the", "of", "and", "that", "with")
    return " ".join(f"{word} {stops[i % 5]}" for i, word in enumerate(words + words[::-1]))


def test_filters_and_minhash_drop_what_is_planted_and_count_it(trove, tmp_path, jsonl, texts, small_tasks):
    good = [english(text) for text in texts]
    bad = ["too short a text for the rules", "# # # # " * 60]
    near = [good[7] + " again", good[9] + " once"]
    path = jsonl("mixed.jsonl", [*good, *bad, *near])
    filters = ["gopher_quality", "minhash"]
    corpora = prepare(source(tmp_path, path, filters=filters), cluster=executors.Cluster("local", 1))
    assert corpora.left_out == {"a": {"gopher_quality": 2, "minhash": 2}}
    assert sum(c.num_documents for c in corpora["a"].values()) == len(good)
    plain = prepare(source(tmp_path, path, "plain"))
    assert corpora.path.split("/")[-1] != plain.path.split("/")[-1]


def test_filters_that_leave_too_little_say_what_they_left_out_and_publish_nothing(trove, tmp_path, jsonl, texts, capfd):
    kept = "\n\n".join([" ".join(texts[:9])] * 4)  # paragraphs that are long enough, the only ones
    with pytest.raises(UserError, match=r"has 0 tokens in 0 documents.* \(documents left out: 400 c4_paragraph\)"):
        prepare(source(tmp_path, jsonl("some.jsonl", [*texts, kept]), filters=["c4_paragraph"]))
    with pytest.raises(UserError, match=r"corpus a has no text \(documents left out: 400 c4_paragraph\)"):
        prepare(source(tmp_path, jsonl(), filters=["c4_paragraph"]))
    assert not list((tmp_path / "cache").glob("*/manifest.json"))
    assert not list((tmp_path / "cache").glob(".building-*"))
    assert "built corpora in" not in capfd.readouterr().err


def test_datatroves_own_lines_go_to_a_file(trove, tmp_path, jsonl, small_tasks, capfd):
    made = prepare(source(tmp_path, jsonl()), cluster=executors.Cluster("local", 2))
    said = capfd.readouterr().err.splitlines()
    assert [line for line in said if line.startswith("tokenise: ")] == ["tokenise: 2 tasks ..."]
    assert len(said) == 4, said  # the tokenizer, the corpora, the stage, the end
    (log,) = (tmp_path / "cache" / ".datatrove" / Path(made.path).name).glob("*/terminal.log")
    assert "All 2 tasks" in log.read_text()
    print("heard", file=sys.stderr)
    assert capfd.readouterr().err == "heard\n"


def test_slurm_scripts_are_composed_in_order_and_the_last_job_publishes(
    trove, tmp_path, jsonl, monkeypatch, small_tasks
):
    """A stand-in for sbatch runs every task of a job at once, as SLURM would when its turn comes."""
    tools = tmp_path / "bin"
    tools.mkdir()
    log = tmp_path / "sbatch.log"
    here = Path(__file__).parents[3]
    scripts = {
        "sbatch": f"""#!{sys.executable}
import os, re, subprocess, sys
log, script = {str(log)!r}, open(sys.argv[-1]).read()
number = sum(1 for _ in open(log)) + 1 if os.path.exists(log) else 1
array = re.search(r"--array=0-([0-9]+)", script)
name = re.search(r"--job-name=(.*)", script)[1]
with open(log, "a") as file:
    print(number, name, array[1], *sys.argv[1:-1], file=file)
if "launch_pickled_pipeline" in script:
    (path,) = re.findall(r"launch_pickled_pipeline (.*)", script)
    for task in range(int(array[1]) + 1):
        given = os.environ | dict(SLURM_ARRAY_TASK_ID=str(task), SLURM_NODELIST="n1", PYTHONPATH={str(here)!r})
        code = "import sys; from datatrove.tools.launch_pickled_pipeline import main; main()"
        subprocess.run([sys.executable, "-c", code, path], env=given, check=True, capture_output=True)
print("Submitted batch job", number)
""",
        "scontrol": "#!/bin/sh\necho n1\n",
    }  # fmt: skip
    for name, text in scripts.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    plain = prepare(source(tmp_path, jsonl(), "plain"))
    given = source(tmp_path, jsonl(), tokenizer=plain.tokenizer_path)
    cluster = executors.Cluster("slurm", 2, partition="main", time="01:00:00")
    monkeypatch.chdir(tmp_path)
    made = None
    try:
        made = prepare(given, cluster=cluster)
    except SubmittedError as error:
        pytest.fail(f"the stand-in ran every job, and yet: {error}")
    assert content(made) == content(plain)
    jobs = [line.split() for line in log.read_text().splitlines()]
    names = [job[1] for job in jobs]
    assert list(dict.fromkeys(names)) == ["cptlab_tokenise", "cptlab_publish"]
    published = next(job for job in jobs if job[1] == "cptlab_publish")
    assert any(word.startswith("--dependency=afterok:") for word in published)
    script = next((tmp_path / "cache").glob(".datatrove/*/tokenise/launch_script.slurm")).read_text()
    for wanted in ("--partition=main", "--time=01:00:00", "--mem-per-cpu=4G", "--job-name=cptlab_tokenise"):
        assert f"#SBATCH {wanted}" in script
    assert json.loads(Path(made.path, "manifest.json").read_text())["format"] == 1

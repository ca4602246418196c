"""Who may import whom, and what stays free of torch: the walls of the house."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "cptlab"
LEAVES = {"units", "variants", "errors"}

# room -> rooms of ours that it may import (errors, units and variants are open to all but each other)
ALLOWED = {
    "schedules": set(),
    "mixtures": set(),
    "replay": set(),
    "laws": set(),
    "records": {"schedules"},
    "fitting": {"laws", "records"},
    "decisions": {"fitting", "laws", "records", "schedules", "mixtures", "replay"},
    "metrics": {"records", "schedules"},
    "report": {"decisions", "fitting", "metrics", "records"},
    "data": {"mixtures", "replay"},
    "models": set(),
    "optimizers": set(),
    "adapters": set(),
    "regularizers": set(),
    "sparsity": set(),
    "vocabulary": {"data", "models"},
    "merging": {"data", "models", "export", "training"},
    "selection": {"data", "models"},
    "training": {
        "data",
        "models",
        "schedules",
        "mixtures",
        "replay",
        "records",
        "config",
        "optimizers",
        "adapters",
        "regularizers",
        "sparsity",
        "vocabulary",
    },
    "sweeps": {"config", "records", "training", "launch"},
    "export": {"data", "models", "records", "training"},
    "design": {"config", "fit_config", "launch", "decisions", "fitting", "laws", "records", "sweeps"},
    "doctor": {"config", "launch", "sweeps", "training"},
}
HOMES_OF = {
    "transformers": {
        "models/base.py",
        "models/ends.py",
        "models/tiny.py",
        "models/pretrained.py",
        "training/network.py",
        "training/parallel/streaming.py",
        "training/build.py",
        "training/cpu/linear.py",
        "training/cpu/rms_norm.py",
        "training/attention/install.py",
        "training/attention/sdpa.py",
        "data/tokenizer.py",
        "export/evaluation.py",
        "export/folder.py",
    },
    "lightning": {
        "training/adaptive_replay.py",
        "training/adaptive_mixture.py",
        "training/checkpoint/callback.py",
        "training/checkpoint/together.py",
        "training/continual.py",
        "training/loader.py",
        "training/module.py",
        "training/parallel/strategy.py",
        "training/recorder.py",
        "training/sparse.py",
        "training/trainer.py",
    },
    "wandb": {"training/tracking.py", "records/read_wandb.py", "report/to_wandb.py", "sweeps/wandb/drive.py"},
    "sweeps": {"sweeps/wandb/engine.py"},
    "datasets": {"data/sources/hub.py"},
    "flash_attn": {"training/attention/flash.py"},
    "bitsandbytes": {"optimizers/adamw8bit.py", "optimizers/lion8bit.py", "adapters/layers/nf4.py"},
    "torchao": {"optimizers/updates/eight_bit.py", "training/parallel/fp8.py"},
    "galore_torch": {"optimizers/updates/projected.py"},
    "schedulefree": {"optimizers/schedule_free.py"},
    "peft": {"adapters/low_rank.py", "export/weights.py"},
    "sklearn": {"estimator.py"},
    "ot": {"selection/got_d.py"},
    "lm_eval": {"export/evaluation.py"},
    "submitit": {"sweeps/slurm/launcher.py", "sweeps/slurm/watch.py"},
}


@functools.cache
def imports(file):
    """Names of top-level and deferred imports of a file, those for type checkers left out."""
    tree, found = ast.parse(file.read_text("utf8")), []
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append(node.module)
            if node.module.split(".")[0] == "cptlab":
                found += [f"{node.module}.{alias.name}" for alias in node.names]
        assert not (isinstance(node, ast.ImportFrom) and node.level), f"{file}: relative import"
    return found


FILES = sorted(PACKAGE.rglob("*.py"))
# Entry points, as train.py is, that lie with what they are about.
ENTRIES = {PACKAGE / room / "cli.py" for room in ("data", "metrics", "training", "vocabulary")}


@pytest.mark.parametrize("room", ALLOWED)
def test_a_room_imports_only_what_its_layer_may(room):
    files = sorted(set((PACKAGE / room).rglob("*.py")) - ENTRIES)
    assert files
    for file in files:
        ours = {name.split(".")[1] for name in imports(file) if name.startswith("cptlab.")}
        extra = ours - LEAVES - {room} - ALLOWED[room]
        assert not extra, f"{file.relative_to(ROOT)} imports {sorted(extra)}"


def test_only_commands_import_a_command_line_that_may_import_anything():
    entries = {f"cptlab.{entry.parent.name}.cli" for entry in ENTRIES}
    importers = {str(file.relative_to(PACKAGE)) for file in FILES if entries & set(imports(file))}
    assert importers == {"cli.py", "data/cli.py"}


@pytest.mark.parametrize("package", HOMES_OF)
def test_a_library_with_one_importer_has_one(package):
    found = {str(f.relative_to(PACKAGE)) for f in FILES if package in {n.split(".")[0] for n in imports(f)}}
    assert found <= HOMES_OF[package]


@pytest.mark.parametrize("room", ["laws", "schedules", "mixtures", "replay"])
def test_the_mathematics_needs_numpy_alone(room):
    for file in (PACKAGE / room).glob("*.py"):
        others = {name.split(".")[0] for name in imports(file)} - {"numpy", "cptlab"} - sys.stdlib_module_names
        assert not others, f"{file.relative_to(ROOT)} imports {sorted(others)}"


def test_the_leaves_import_nothing_of_ours():
    for name in LEAVES:
        ours = [n for n in imports(PACKAGE / f"{name}.py") if n.startswith("cptlab")]
        assert not ours, name


def test_hydra_stays_in_config_sweeps_and_entry_points():
    found = {str(f.relative_to(PACKAGE)) for f in FILES if {"hydra", "omegaconf"} & {n.split(".")[0] for n in imports(f)}}  # fmt: skip
    assert found <= {"config.py", "fit_config.py", "launch.py", "help.py", "sweeps/preflight.py",
                     "sweeps/hydra_sweeper.py", "sweeps/slurm/launcher.py"}  # fmt: skip


def test_the_library_never_imports_a_study():
    assert not [f for f in FILES if any(name.split(".")[0] == "experiments" for name in imports(f))]


def test_no_file_reads_pickles_or_evaluates_text():
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text("utf8"))):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                assert name not in {"eval", "exec", "pd.read_pickle"}, file
                safe = any(k.arg == "weights_only" and ast.unparse(k.value) == "True" for k in node.keywords)
                assert name != "torch.load" or safe, file
                assert not any(k.arg == "allow_pickle" for k in node.keywords), file
        assert not {"pickle", "dill", "joblib"} & {name.split(".")[0] for name in imports(file)}, file


@pytest.mark.parametrize(
    "module",
    ["laws.dcpt", "fitting.fit", "decisions.recommend", "records.read_runs", "records.read_wandb", "records.joined", "metrics.of_run", "metrics.cli", "report.page", "config", "sweeps.grid",
     "sweeps.preflight", "sweeps.slurm.choose", "fit_config", "launch", "design.propose", "design.cli"],
)  # fmt: skip
def test_everything_but_training_starts_without_torch(module):
    heavy = "{'torch', 'transformers', 'lightning', 'datasets', 'wandb'}"
    code = f"import sys, cptlab.{module} as m; getattr(m, 'register', int)(); print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "code",
    [
        "import cptlab; [cptlab.fit, cptlab.recommend, cptlab.fit_domains, cptlab.read_csv, cptlab.Tradeoff]",
        "import cptlab; cptlab.recommend; cptlab.law('dcpt'); from cptlab.decisions.named import as_question as q; q('tradeoff', {})",
        "import sys, runpy; sys.argv = ['fit_law.py', '--help']\n"
        "try: runpy.run_path('fit_law.py', run_name='__main__')\n"
        "except SystemExit: pass",
    ],
    ids=["names", "by_name", "help"],
)
def test_what_only_looks_around_loads_no_heavy_library(code):
    heavy = "{'torch', 'sklearn', 'pandas', 'matplotlib', 'plotly', 'transformers', 'lightning', 'wandb'}"
    code += f"\nimport sys; print('loaded', sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip().splitlines()[-1] == "loaded []"


def test_every_public_name_is_there_and_only_the_regressor_needs_scikit_learn():
    code = """
import sys, cptlab
for name in cptlab.__all__:
    if name != "LawRegressor":
        assert getattr(cptlab, name) is not None and name in dir(cptlab)
assert "sklearn" not in sys.modules
cptlab.LawRegressor
assert "sklearn" in sys.modules and "torch" not in sys.modules
print("done")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "done"

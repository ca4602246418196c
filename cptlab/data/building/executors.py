"""Builds by datatrove's executors: on this machine, on a SLURM cluster, or on a Ray cluster.

The submitting process spools the text and composes the stages, each waiting for the one before; all tasks
share the cache folder. With SLURM the last job merges and publishes; otherwise this process does.
"""

import importlib.util
import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from cptlab.data.building.build import finish, merge_shards, publish
from cptlab.data.building.choose import not_selected
from cptlab.data.building.lengths import check_lengths
from cptlab.data.building.lock import say
from cptlab.data.building.manifest import read_manifest
from cptlab.data.building.pool import StoppedError
from cptlab.data.building.spool import spool
from cptlab.data.building.trove import (
    INSTALL,
    check_filters,
    count_step,
    filter_step,
    quiet,
    read_counts,
    read_step,
    tokenise_step,
    write_step,
)
from cptlab.data.sources.base import DataSource, Documents
from cptlab.data.tokenizer import load_tokenizer
from cptlab.data.tokens import Corpus
from cptlab.errors import UserError

BUCKETS = 14  # of MinHash, with 8 hashes each: similarity .72 is found half of the time (FineWeb's setting)


@dataclass(frozen=True)
class Cluster:
    """Where the tasks run. kind: local, slurm or ray; workers: tasks at a time; mem_per_cpu: [GB]."""

    kind: str
    workers: int
    partition: str = ""
    time: str = "24:00:00"
    mem_per_cpu: int = 4

    def __post_init__(self) -> None:
        if self.kind == "slurm" and not self.partition:
            raise UserError("--executor slurm needs --partition, the name of a SLURM partition")
        if self.kind == "ray" and importlib.util.find_spec("ray") is None:
            raise UserError("--executor ray needs Ray; pip install 'cptlab[ray]'")

    def executor(self, name: str, steps: list, tasks: int, logs: Path, depends: Any) -> Any:
        """datatrove's executor of one stage."""
        shared: dict[str, Any] = {"pipeline": steps, "tasks": tasks, "logging_dir": str(logs / name)}
        workers = min(self.workers, tasks)
        if self.kind == "local":
            from datatrove.executor import LocalPipelineExecutor

            return LocalPipelineExecutor(workers=workers, start_method="spawn", **shared)
        if self.kind == "ray":
            from datatrove.executor import RayPipelineExecutor

            return RayPipelineExecutor(workers=workers, mem_per_cpu_gb=self.mem_per_cpu, **shared)
        from datatrove.executor import SlurmPipelineExecutor

        activate = Path(sys.prefix) / "bin" / "activate"
        if activate.is_file():
            shared["venv_path"] = str(activate)
        return SlurmPipelineExecutor(
            workers=workers, time=self.time, partition=self.partition, mem_per_cpu_gb=self.mem_per_cpu, qos="",
            job_name=f"cptlab_{name}", depends=depends,
            mail_type="NONE", sbatch_args={"kill-on-invalid-dep": "yes"},  # what waits for a failed stage ends too
            **shared,
        )  # fmt: skip


def prepare_tasks(source: DataSource, documents: Documents, building: Path, facts: dict) -> dict:
    """Check what the stages need, spool the text; returns the plan."""
    try:
        import datatrove  # noqa: F401
    except ImportError as error:
        raise UserError(f"data.filters and --executor need datatrove; {INSTALL}") from error
    if source.filters:
        check_filters(source.filters, source.filter_language)
    facts = facts | {"filters": source.filters, "language": source.filter_language}
    plan = spool(source, documents, building, facts)
    if not plan["tasks"]:
        raise UserError(f"corpora {', '.join(documents)} have no text; give them a source with at least one document.")
    return plan


def stages(building: Path, plan: dict) -> tuple[list[tuple[str, list, int]], str]:
    """(name, steps, tasks) of every stage of filtering and tokenising in turn, and the text that is tokenised."""
    text, sigs = building / "text", building / "minhash"
    tasks, made, stage = plan["tasks"], [], "raw"
    quality = [name for name in plan["filters"] if name != "minhash"]
    language = plan["language"]
    if quality:
        kept = partial(filter_step, names=quality, language=language, folder=text / stage)
        steps = [partial(read_step, folder=text / stage), kept, partial(write_step, folder=text / "filtered")]
        made.append(("filter", steps, tasks))
        stage = "filtered"
    if "minhash" in plan["filters"]:
        from datatrove.pipeline import dedup
        from datatrove.utils.hashing import HashConfig
        from datatrove.utils.text import TextNormConfig

        # Texts that differ only in numbers are not the same text: tables, sums, statutes.
        # SHA-1, for datatrove's other hash calls xxhash in a way that xxhash 4 refuses.
        config = dedup.MinhashConfig(
            num_buckets=BUCKETS,
            norm_config=TextNormConfig(norm_numbers=False),
            hash_config=HashConfig(hash_fc="sha1"),
        )
        read = partial(read_step, folder=text / stage)
        signature = dedup.MinhashDedupSignature(str(sigs / "signatures"), config=config, language=language)
        buckets = dedup.MinhashDedupBuckets(str(sigs / "signatures"), str(sigs / "buckets"), config=config)
        cluster = dedup.MinhashDedupCluster(str(sigs / "buckets"), str(sigs / "remove"), config=config)
        unique = dedup.MinhashDedupFilter(str(sigs / "remove"))
        count = partial(count_step, folder=text / stage, cause="minhash")
        write = partial(write_step, folder=text / "unique")
        made += [
            ("signatures", [read, signature], tasks),
            ("buckets", [buckets], BUCKETS),
            ("clusters", [cluster], 1),
            ("unique", [read, unique, count, write], tasks),
        ]
        stage = "unique"
    made.append(("tokenise", [partial(tokenise_step, building=building, stage=stage)], tasks))
    return made, stage


def run_stages(building: Path, folder: Path, plan: dict, cluster: Cluster) -> None:
    """Run every stage to its end, or with SLURM hand all of them in."""
    logs = folder.parent / ".datatrove" / folder.name
    submitted = building / "submitted.json"
    if cluster.kind == "slurm" and submitted.is_file():
        raise StoppedError(
            f"these corpora were handed to SLURM before ({submitted.read_text()}); wait for the jobs, or, if they "
            f"failed, remove {submitted} and run again: finished tasks are skipped."
        )
    ahead = stages(building, plan)[0]
    if cluster.kind == "slurm":
        ahead.append(("publish", [partial(publish_step, building=building, folder=folder)], 1))
    before: Any = None
    for name, steps, tasks in ahead:
        if cluster.kind != "slurm":
            say(f"{name}: {tasks} tasks ...")
            try:
                with quiet(logs / name / "terminal.log"):
                    before = cluster.executor(name, steps, tasks, logs, None)
                    before.run()
            except Exception as error:
                first = str(error).partition("\n")[0]
                raise StoppedError(
                    f"a task of the stage {name} failed ({type(error).__name__}: {first}); its log is in "
                    f"{logs / name}. Run the same command again, it continues."
                ) from error
        else:
            before = cluster.executor(name, steps, tasks, logs, before)
    if cluster.kind == "slurm":
        hand_in(before, submitted, logs)


def hand_in(last: Any, submitted: Path, logs: Path) -> None:
    """Give SLURM the last job and those that it depends on; leave a note of it while they run."""
    submitted.write_text(json.dumps({"logs": str(logs)}))
    try:
        last.run()
    except subprocess.CalledProcessError as error:
        submitted.unlink(missing_ok=True)
        raise StoppedError(
            "SLURM refused the jobs, its line is above; see --partition, --time and --mem-per-cpu"
        ) from error
    except OSError as error:
        submitted.unlink(missing_ok=True)
        raise StoppedError(f"SLURM's sbatch could not be run ({error}); run this where jobs are handed in.") from error
    if submitted.is_file():  # no longer, where the last job has ended
        submitted.write_text(json.dumps({"last_job": last.job_id, "logs": str(logs)}))


def assemble(building: Path) -> dict[str, dict[str, Corpus]]:
    """The corpora of all ranks, in the order of their documents; what remains is to publish them."""
    plan = json.loads((building / "plan.json").read_text())
    tokenizer = load_tokenizer(str(building / "tokenizer"))
    left_out = {name: Counter(causes) for name, causes in plan["left_out"].items()}
    for name, causes in not_selected(plan["selection"]).items():
        left_out[name].update(causes)
    corpora, unique = {}, {}
    for name, (first, last) in plan["ranks"].items():
        parts = []
        for rank in range(first, last):
            for stage in ("raw", "filtered"):
                left_out[name].update(read_counts(building / "text" / stage, rank))
            shards = building / "shards" / f"{rank:06d}"
            done = json.loads((shards / "count.json").read_text())
            left_out[name].update(done["left_out"])
            parts.append((shards, done["shards"]))
        corpora[name], unique[name] = merge_shards(name, building, parts, tokenizer, left_out[name])
    finish(building, plan["fingerprint"], tokenizer, corpora, unique, left_out, plan["selection"])
    return corpora


def publish_step(data: object, rank: int, world_size: int, *, building: Path, folder: Path) -> None:
    """The last SLURM job."""
    corpora = assemble(building)
    left_out = read_manifest(building / "manifest.json")["left_out"]
    check_lengths(corpora, left_out, json.loads((building / "plan.json").read_text())["sequence_length"])
    publish(building, folder)

"""The streams among the runs of a study: which run started from which, and which streams differ by their seed alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cptlab.metrics.diagnostics import read_diagnostics
from cptlab.metrics.streams import main_corpus, stages_of_runs, starts_from
from cptlab.metrics.transfer import Transfer, transfer
from cptlab.records.run_folders import Run

Chain = list[Run]
OF_ONE_RUN = ("seed", "runs", "machine", "tracking", "model.base_run", "stage", "mixture.domain")  # no way of training
MOST_WORDS = 3  # settings that name a way


@dataclass(frozen=True)
class Stream:
    """A stream of two stages or more.

    way: the settings of its last stage that tell it from the other streams, "" where there is none. runs: run_ids in
    order. seeds: of the last stages of all streams of its order, base and settings, its own first.
    """

    way: str
    runs: Sequence[str]
    seeds: Sequence[int]
    found: Transfer

    @property
    def order(self) -> str:
        """'law → code'."""
        return " → ".join(name or "?" for name in self.found.matrix.trained[1:])


def chains(runs: Sequence[Run]) -> list[Chain]:
    """The streams among stages: from each run that no other started from back to the first, in order of training.

    A run whose base is an earlier checkpoint of another is no stage after it.
    """
    before = {id(run): found for run in runs if (found := _before(run, runs)) is not None}
    earlier = {id(run) for run in before.values()}
    found = []
    for last in runs:
        if id(last) not in earlier:
            chain = [last]
            while (stage := before.get(id(chain[0]))) and not any(stage is each for each in chain):
                chain.insert(0, stage)  # weights that nothing moved could lead in a circle
            found.append(chain)
    return found


def streams_of(runs: Sequence[Run]) -> list[Stream]:
    """One stream of each order, base and settings, of its lowest seed: the longest and the largest first."""
    groups: dict[str, list[Chain]] = {}
    for chain in chains(runs):
        if len(chain) > 1:
            groups.setdefault(_settings(chain), []).append(chain)
    ways = [sorted(group, key=_seeds) for group in groups.values()]
    ways.sort(key=lambda way: (-len(way[0]), -float(way[0][0].facts["num_params_nonembed"])))
    known = [dict(_flat(way[0][-1].facts.get("config") or {})) for way in ways]  # of the last stage
    names = dict.fromkeys(name for own in known for name in own)
    differ = [name for name in names if len({own.get(name) for own in known}) > 1]
    differ.sort(key=lambda name: not name.endswith("variant"))  # what a way is, then its options
    words = [[f"{name}={own[name]}" for name in differ if name in own] for own in known]
    return [_stream(way, own) for way, own in zip(ways, words, strict=True)]


def _stream(way: Sequence[Chain], words: list[str]) -> Stream:
    """The first chain of a way, which these settings tell from others."""
    first = way[0]
    kept = [read_diagnostics(run.folder) if isinstance(run.folder, Path) else None for run in first]
    more = [f"{len(words) - MOST_WORDS} more"] if len(words) > MOST_WORDS else []
    return Stream(
        ", ".join(words[:MOST_WORDS] + more), [str(run.facts["run_id"]) for run in first],
        [_seeds(chain)[-1] for chain in way], transfer(stages_of_runs(first, kept=kept)),
    )  # fmt: skip


def _seeds(chain: Chain) -> list[int]:
    """Of its stages; several streams may share the first ones."""
    return [int(run.facts["seed"]) for run in chain]


def _before(run: Run, runs: Sequence[Run]) -> Run | None:
    """The run at whose end another one started."""
    found = [one for one in runs if one is not run and starts_from(run, one)]
    base = (run.facts.get("base") or {}).get("run_id")
    named = [one for one in found if one.facts["run_id"] == base]
    return next((one for one in named or found if _at_its_end(run, one)), None)


def _at_its_end(run: Run, before: Run) -> bool:
    step = (run.facts.get("base") or {}).get("step")
    return step is None or step == max((row["step"] for row in before.rows), default=step)


def _settings(chain: Chain) -> str:
    """What the streams of a way share: the settings of every stage, its domain among them, and the base."""
    stages = [
        [main_corpus(run, list(run.facts.get("corpora") or {})), *_flat(run.facts.get("config") or {})] for run in chain
    ]
    base = chain[0].facts.get("base") or {}
    return json.dumps([base.get("run_id"), base.get("weights_sha256"), stages], sort_keys=True)


def _flat(config: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """(`replay.variant`, `reservoir`), ... of a configuration, without what tells one run from another."""
    for name, value in config.items():
        key = before + str(name)
        if key in OF_ONE_RUN:
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, f"{key}.")
        else:
            yield key, value if isinstance(value, str) else json.dumps(value)

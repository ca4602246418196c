"""Run folders by the real writer, with losses that tests choose."""

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path

from cptlab.records.run import EvalRow, RunFacts, RunFolder

CORPORA = {
    name: {"fit": {"content_hash": f"{name}0", "num_tokens": 100, "num_bytes": 300, "num_documents": 2}}
    for name in ("prose", "code")
}
FACTS = RunFacts(
    run_id="run",
    config={"model": {"size": "30k"}, "mixture": {"domain_share": 0.25}},
    overrides=["model.size=30k", "model.base_run=bases/30k", "mixture.domain_share=0.25", "tokens=1000"],
    num_params_nonembed=30_000,
    num_params_total=60_000,
    tokens_total=1000,
    tokens_per_step=100,
    steps_total=10,
    sequence_length=10,
    base={"kind": "run", "run_id": "base30k", "weights_sha256": "w", "step": 5, "tokens": 50},
    tokenizer_hash="t",
    corpora=CORPORA,
    general="prose",
    domain="code",
    seed=0,
    peak_lr=1e-3,
    schedule={"variant": "constant"},
    lr_is_constant_after_warmup=True,
    warmup_tokens=200,
    resolved={},
    world_size=1,
    git_sha="",
    dirty=False,
    versions={},
    hardware={},
    started="",
)


def rows(facts: RunFacts, step: int, share: float, losses: dict[str, float], attempt: int = 1, split: str = "fit"):
    """Evaluation rows of every corpus at one step; 10 tokens are evaluated, so loss_sum = 10 x loss."""
    seen = step * facts.tokens_per_step
    code = int(seen * share)
    count = {"prose": seen - code, "code": code}
    return [
        EvalRow(
            run_id=facts.run_id,
            attempt=attempt,
            step=step,
            tokens_seen=seen,
            tokens_by_corpus=count,
            unique_tokens_by_corpus=count,
            replay_tokens=seen // 10,
            lr=1e-3,
            lr_area=step * 1e-3,
            anneal_area=0.0,
            domain=domain,
            split=split,
            loss_sum=10 * loss,
            num_tokens=10,
            num_bytes=35,
            loss_se=0.1,
            seconds=1.0,
        )
        for domain, loss in losses.items()
    ]


def write_run(
    runs: Path, run_id: str, steps: Iterable[int], losses: Callable[[int], dict[str, float]], share: float = 0.25, *,
    status: str | None = "finished", reason: str = "", areas: tuple | None = None, **changes,
) -> RunFacts:  # fmt: skip
    """Write runs/<run_id>. losses: step -> {corpus: loss}; areas: S1 and S2 after each step, two (steps,) arrays."""
    facts = dataclasses.replace(FACTS, run_id=run_id, **changes)
    folder = RunFolder(runs / run_id)
    folder.begin(facts)
    for step in (0, *steps):
        measured = rows(facts, step, share, losses(step))
        if areas and step:
            clock = {"lr_area": float(areas[0][step - 1]), "anneal_area": float(areas[1][step - 1])}
            measured = [dataclasses.replace(row, **clock) for row in measured]
        folder.append(measured)
    if status:
        folder.end(status, reason, 1.0)
    return facts

"""What a run computes with, held against what its checkpoint was computed with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from cptlab.errors import UserError

if TYPE_CHECKING:
    from cptlab.records.run import RunFacts

REASONS = ("attention_why",)  # of `resolved`: words of what else was tried, no part of what is computed


def resolution(facts: RunFacts) -> dict[str, Any]:
    """What goes into a checkpoint: what `auto` became, processes, library versions."""
    resolved = {name: value for name, value in facts.resolved.items() if name not in REASONS}
    return {"resolved": resolved, "world_size": facts.world_size, "versions": facts.versions}


def compare(kept: Mapping[str, Any], facts: RunFacts, allow: bool, say: Callable[[str], None]) -> None:
    """UserError where attention or precision differ and `allow` is false; `say` is told of any other difference."""
    now = resolution(facts)
    changed = differences(kept["resolved"], now["resolved"])
    if changed and not allow:
        raise UserError(
            f"the checkpoint at step {kept['step']} of {facts.run_id} was computed with {changed}; the numbers of one"
            " run would come from two: choose the old one by name (machine.attention, machine.precision), or allow it"
            " with checkpoint.allow_other_resolution=true"
        )
    others = [
        changed,
        differences(kept["versions"], now["versions"]),
        differences({"processes": kept["world_size"]}, {"processes": now["world_size"]}),
    ]
    if told := ", ".join(filter(None, others)):
        say(f"{facts.run_id}: the checkpoint at step {kept['step']} was computed with {told}")


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """'precision fp32 (now bf16), torch 2.11 (now 2.13)'."""
    names = [name for name in sorted({*then, *now}) if then.get(name) != now.get(name)]
    return ", ".join(f"{name} {then.get(name)} (now {now.get(name)})" for name in names)

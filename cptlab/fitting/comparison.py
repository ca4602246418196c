"""What a comparison of laws returns: rows best first, what was left out and why, the choice in a sentence."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cptlab.fitting.export import finite, heldout_json
from cptlab.fitting.holdout import HeldOut
from cptlab.laws.base import Law


@dataclass(frozen=True)
class Compared:
    """One law, or one baseline, of a comparison.

    num_free: fitted parameters a domain, None for a baseline. objective: summed over domains, NaN for a baseline.
    r2: of the loss on the fitted rows, NaN for a baseline. num_points: fitted rows. rmse_delta: [nat/token] pooled
    over the deciding protocols' rows, of loss - base loss (whose error is that of the loss), and its standard_error
    over whole runs, NaN where there is one run. num_heldout: how many losses that is. heldout: protocol -> error,
    on the rows that all laws of the main comparison have predicted; on its own rows where `comparable` is False.
    baselines: name -> protocol -> error on the same rows. note: what a reader must know of this row, or ''.
    """

    law_name: str
    num_free: int | None
    objective: float
    r2: float
    num_points: int
    rmse_delta: float
    standard_error: float
    num_heldout: int
    heldout: dict[str, HeldOut]
    baselines: dict[str, dict[str, HeldOut]] = field(default_factory=dict)
    is_baseline: bool = False
    comparable: bool = True
    note: str = ""


@dataclass(frozen=True)
class Comparison:
    """Laws held against each other on held-out rows.

    rows: best first by pooled error, baselines among them, laws of other rows last. left_out: law -> the sentence
    that says why it could not be fitted or judged. chosen: name of the law to use; why: in one sentence. domains:
    whose losses are pooled. protocols: those that decided. laws: name -> the fitted Law of every row.
    """

    rows: tuple[Compared, ...]
    left_out: dict[str, str]
    chosen: str
    why: str
    domains: tuple[str, ...]
    protocols: tuple[str, ...]
    laws: Mapping[str, Law] = field(repr=False, default_factory=dict)

    @property
    def law(self) -> Law:
        """The chosen law."""
        return self.laws[self.chosen]

    def __getitem__(self, name: str) -> Compared:
        """The row of a law or a baseline. KeyError where there is none."""
        return {row.law_name: row for row in self.rows}[name]

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, null where there is none."""
        return {
            "domains": list(self.domains), "chosen": self.chosen, "why": self.why, "protocols": list(self.protocols),
            "rows": [
                {
                    "law": row.law_name, "is_baseline": row.is_baseline, "comparable": row.comparable,
                    "num_parameters": row.num_free, "objective": finite(row.objective), "r2": finite(row.r2),
                    "num_points": row.num_points, "rmse_delta": finite(row.rmse_delta),
                    "standard_error": finite(row.standard_error), "num_heldout": row.num_heldout,
                    "heldout": heldout_json(row.heldout),
                    "baselines": {name: heldout_json(held) for name, held in row.baselines.items()},
                    "note": row.note,
                }
                for row in self.rows
            ],
            "left_out": self.left_out,
        }  # fmt: skip

    def table(self) -> list[dict[str, Any]]:
        """A flat row each, for reports: errors in nat/token, `rmse_<protocol>` None where it was not measured."""
        every = list(dict.fromkeys(name for row in self.rows for name in row.heldout))
        return [
            {
                "law": row.law_name, "is_baseline": row.is_baseline,
                "chosen": row.law_name == self.chosen and not row.is_baseline, "num_parameters": row.num_free,
                "rmse_delta": finite(row.rmse_delta), "standard_error": finite(row.standard_error),
                **{f"rmse_{p}": finite(row.heldout[p].rmse) if p in row.heldout else None for p in every},
                "r2": finite(row.r2), "objective": finite(row.objective), "num_points": row.num_points,
                "num_heldout": row.num_heldout, "note": row.note,
            }
            for row in self.rows
        ]  # fmt: skip

    def lines(self) -> list[str]:
        """A small table for a terminal, at most 100 wide, and the laws left out."""
        shown = [p for p in dict.fromkeys(p for row in self.rows for p in row.heldout)][:5]
        lines = [
            f"held-out RMSE [nat/token] of {', '.join(self.domains) or 'the table'}, best first",
            f"{'':<21}{'parameters':>10}{'pooled':>9}" + "".join(f"{p.replace('_', ' '):>15}" for p in shown),
        ]
        for row in self.rows:
            mark = "*" if row.law_name == self.chosen else " "
            cells = [f"{row.heldout[p].rmse:.3g}" if p in row.heldout else "" for p in shown]
            free = "baseline" if row.is_baseline else f"{row.num_free}"
            pooled = f"{row.rmse_delta:.3g}" if row.comparable else "(apart)"
            lines.append(f"{mark} {row.law_name:<19}{free:>10}{pooled:>9}" + "".join(f"{cell:>15}" for cell in cells))
        if self.left_out:
            lines.append(f"left out ({len(self.left_out)}, reasons in comparison.json): {', '.join(self.left_out)}")
        return lines

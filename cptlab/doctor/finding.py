"""One line of `cptlab doctor`: what was looked at, what was found, and the mend where a run could not start."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """note: worth knowing, training can start; stop: it cannot, and does after this."""

    what: str
    found: str
    note: str = ""
    stop: str = ""

    @property
    def mark(self) -> str:
        """'ok', 'note' or 'STOP'."""
        return "STOP" if self.stop else "note" if self.note else "ok"


def lines(findings: Iterable[Finding]) -> str:
    """One line a finding, columns aligned, the note or the mend at its end."""
    findings = list(findings)
    width = max(len(finding.what) for finding in findings)
    return "\n".join(
        f"{finding.mark:4}  {finding.what:{width}}  {finding.found}"
        + (f"  -> {finding.stop or finding.note}" if finding.stop or finding.note else "")
        for finding in findings
    )


def gibibytes(number: float) -> str:
    """'12.3 GiB'"""
    return f"{number / 2**30:.1f} GiB"

"""Whether laws and rows can answer a question at all: known before anything is fitted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from cptlab.errors import UserError
from cptlab.laws.base import Law
from cptlab.records.observations import Observations
from cptlab.units import LR_DROP_NAMES

# What a question needs -> the columns of a law any of which will do.
COLUMNS = {
    "share": ("share", "domain_share", "general_share"),  # and share_<corpus>
    "lr_area": ("lr_area", "anneal_area", *(name for node in LR_DROP_NAMES for name in node)),
    "base_lr_area": ("base_lr_area", "base_anneal_area"),
}
OF_HISTORY = ("lr_area", "base_lr_area")  # what question=schedule itself needs
MIXTURE = "share"
NO_MIXTURE = "so every mixture is one to it; fit one that does (law=dcpt)"


def columns_for(quantity: str, names: Iterable[str]) -> list[str]:
    """The columns among `names` by which a law reads a quantity; `share` stands for the mixture, however named."""
    known = COLUMNS.get(quantity, (quantity,))
    return [n for n in names if n in known or (quantity == MIXTURE and n.startswith("share_"))]


def reads_mixture(law: Law) -> bool:
    """Whether the loss depends on the shares of the corpora."""
    return bool(columns_for(MIXTURE, law.inputs))


def refuse_unread(needs: Mapping[str, str], laws: Iterable[Law]) -> None:
    """UserError where no law reads what a question needs. needs: quantity -> what is impossible without, what to do."""
    laws = list(laws)
    names = ", ".join(sorted({law.variant_name for law in laws}))
    for quantity, why in needs.items():
        if not any(columns_for(quantity, law.inputs) for law in laws):
            what = "a share of the corpora" if quantity == MIXTURE else quantity
            offer = "" if quantity in OF_HISTORY else other_question(laws)
            raise UserError(f"law={names} does not read {what}, {why}{offer}")


def other_question(laws: Iterable[Law]) -> str:
    """What laws of the LR history can be asked instead, to end a sentence with; "" for other laws."""
    asks = all(columns_for("lr_area", law.inputs) for law in laws)
    return "; of the history of learning rates, which it reads, ask question=schedule" if asks else ""


def refuse_unvaried(chosen: Iterable[str], laws: Iterable[Law], tables: Iterable[Observations]) -> None:
    """UserError where what a question chooses has one value in all rows; it names the unknown parameters."""
    pairs = list(zip(laws, tables, strict=True))
    for quantity in chosen:
        read = [
            (law, rows[name], name)
            for law, rows in pairs
            for name in columns_for(quantity, law.inputs)
            if name in rows.columns
        ]
        values = [column[np.isfinite(column)] for _, column, _ in read]
        if not read or any(len(x) == 0 or np.ptp(x) > 1e-9 * np.abs(x).max() for x in values):
            continue
        law, _, name = read[0]
        unknown = law.levels[name].parameters if name in law.levels else ()
        so = f"{', '.join(unknown)} of law={law.variant_name} cannot be known" if unknown else "its effect is unknown"
        raise UserError(
            f"every row has {name} {values[0][0]:.4g}, so {so} and the question cannot be answered; add runs with "
            f"another {name}"
        )

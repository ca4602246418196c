"""Every quantity that laws and records share: column name, unit, legal range, meaning.

The names here are the column names of `Observations`, of a user's CSV and of `Law.inputs`.
"""

from dataclasses import dataclass
from math import inf


@dataclass(frozen=True)
class Quantity:
    """A measured or chosen quantity; values outside [low, high] are refused, never clamped."""

    unit: str
    low: float
    high: float
    meaning: str


QUANTITIES: dict[str, Quantity] = {
    "loss": Quantity("nat/token", 1e-12, inf, "mean cross-entropy of the row's domain"),
    "loss_se": Quantity("nat/token", 0, inf, "standard error of `loss` over evaluation rows"),
    "base_loss": Quantity("nat/token", 1e-12, inf, "loss of the same domain before the first update"),
    "bytes_per_token": Quantity("byte/token", 1e-12, inf, "UTF-8 bytes a token of the evaluated text"),
    "num_params": Quantity("1", 1, inf, "parameters without input and output embeddings, even untied"),
    "tokens": Quantity("token", 1, inf, "all non-padding CPT tokens up to the row, repeats counted"),
    "step": Quantity("1", 0, inf, "optimizer steps up to the row"),
    "tokens_per_step": Quantity("token", 1, inf, "tokens of one optimizer step over all ranks"),
    "seed": Quantity("1", 0, inf, "seed of data order and initialisation"),
    "peak_lr": Quantity("1", 0, inf, "highest learning rate of the schedule"),
    "lr_area": Quantity("1", 0, inf, "S1: sum of learning rates over optimizer steps of this run"),
    "anneal_area": Quantity("1", 0, inf, "S2: lambda-weighted sum of learning-rate decreases"),
    "lr_settled": Quantity("1", 0, 1, "0 before the end of a decaying run, read by laws with LR inputs only; else 1"),
    "base_lr_area": Quantity("1", 0, inf, "S1 of the base model's pre-training"),
    "base_anneal_area": Quantity("1", 0, inf, "S2 of the base model's pre-training"),
    "base_potential": Quantity("1", 0, 1, "loss potential of the base: its final LR over its peak LR"),
    "share": Quantity("1", 0, 1, "achieved share of the row's own domain in the tokens so far"),
    "domain_share": Quantity("1", 0, 1, "achieved share of the new domain in the tokens so far"),
    "general_share": Quantity("1", 0, 1, "achieved share of the general corpus in the tokens so far"),
    "replay_share": Quantity("1", 0, 1, "share of the tokens so far that Replay drew"),
    "injected_share": Quantity("1", 0, 1, "share of pre-training text injected into fine-tuning"),
    "unique_tokens": Quantity("token", 0, inf, "distinct tokens of the row's domain trained on so far"),
    "num_params_mean": Quantity("1", 1, inf, "time-averaged active parameters (sparse training)"),
    "k1": Quantity("nat/token", 1e-12, inf, "loss of the row's domain before the first update of a short run"),
    "k2": Quantity("nat/token", 0, inf, "its mean decline an e-fold of tokens in that short run"),
    "from_scratch": Quantity("1", 0, 1, "1 if the run started from random weights, else 0"),
    "flops": Quantity("FLOP", 1, inf, "training compute of the run up to the row"),
}

LR_DROPS = 36  # nodes by which a row sums up the changes of its LR (`schedules.area.lr_drops`)
LR_DROP_NAMES = tuple((f"lr_drop_{i:02d}", f"lr_drop_{i:02d}_rate", f"lr_drop_{i:02d}_area") for i in range(LR_DROPS))
for _drop, _rate, _area in LR_DROP_NAMES:
    QUANTITIES[_drop] = Quantity(
        "1", -inf, inf, "decrease of the LR gathered in this node; below 0 a rise, 0: no change"
    )
    QUANTITIES[_rate] = Quantity("1", 0, inf, "LR just after the change, mean over the node")
    QUANTITIES[_area] = Quantity("1", 0, inf, "sum of the LRs from the change up to the row")


def quantity(column: str) -> Quantity:
    """Quantity of a column; `share_<corpus>` columns are shares. KeyError for an unknown column."""
    if column.startswith("share_"):
        return Quantity("1", 0, 1, f"achieved share of corpus {column.removeprefix('share_')}")
    return QUANTITIES[column]

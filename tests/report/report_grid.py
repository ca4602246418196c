"""A small grid whose losses follow D-CPT exactly but for seeded noise, with a base loss for each size."""

import numpy as np

from cptlab.laws.dcpt import DCPT
from cptlab.records.observations import Observations

SIZES, SHARES = (28_416, 102_144, 301_056), (0, 0.1, 0.25, 0.5, 0.75, 0.9, 1)
TOKENS = 655_360 / 2.0 ** np.arange(7)[::-1]
TRUE = {  # E A B C, alpha eta beta epsilon gamma
    0: np.array([0.9, 22.0, 3.0, 0.30, 0.25, 0.30, 0.20, 0.06, 0.55]),
    1: np.array([2.0, 24.0, 1.5, 0.110, 0.27, 0.30, 0.18, 0.10, 0.70]),
}
BASE = {0: (4.05, 3.62, 3.35), 1: (3.88, 3.40, 3.13)}
NOISE = 0.004  # [nat/token]
COMMAND = "python train.py model.size=300k mixture=static mixture.domain_share=0.85 tokens=655360"


def grid(domain: str = "code", general: str = "general", *, base: bool = True, seeds: bool = True) -> Observations:
    """3 sizes x 7 shares x 7 checkpoints of two corpora; two points twice more, with other seeds."""
    rng = np.random.default_rng(0)
    law = DCPT()
    keep: dict[str, list] = {name: [] for name in ("num_params", "tokens", "share", "domain_share", "loss", "seed")}
    keep |= {"base_loss": [], "bytes_per_token": []}
    run, corpus = [], []
    for s, size in enumerate(SIZES):
        for share in SHARES:
            for seed in (0, 1, 2) if seeds and s == 1 and share in (0.25, 0.75) else (0,):
                for k, name in enumerate((domain, general)):
                    own = share if k == 0 else 1 - share
                    columns = {
                        "num_params": np.full(len(TOKENS), float(size)),
                        "tokens": TOKENS,
                        "share": np.full(len(TOKENS), own),
                    }
                    loss = law.predict(TRUE[k], columns) + rng.normal(0, NOISE, len(TOKENS))
                    for tokens, value in zip(TOKENS, loss, strict=True):
                        row = (size, tokens, own, share, value, seed, BASE[k][s], (2.6, 3.4)[k])
                        for key, item in zip(keep, row, strict=True):
                            keep[key].append(float(item))
                        run.append(f"n{s}-r{share:g}-s{seed}")
                        corpus.append(name)
    columns = {key: np.array(values) for key, values in keep.items() if base or key != "base_loss"}
    n = len(run)
    return Observations(
        columns=columns, run=np.array(run), domain=np.array(corpus), split=np.full(n, "fit"),
        base=np.full(n, "base-3e5"), origin="synthetic D-CPT grid",
        left_out={"rows before the end of warm-up": 63},
    )  # fmt: skip

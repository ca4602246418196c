"""galore-torch's AdamW with a state that can be saved: its projections are tensors, not objects."""

from __future__ import annotations

from galore_torch import GaLoreAdamW
from galore_torch.galore_projector import GaLoreProjector


class Projected(GaLoreAdamW):
    """A group with `rank` is projected; its state holds the projection under `projection` when saved."""

    def __init__(self, groups: list[dict], lr: float, betas: tuple[float, float], eps: float) -> None:
        super().__init__(groups, lr=lr, betas=betas, eps=eps, no_deprecation_warning=True)  # type: ignore[arg-type]

    def state_dict(self) -> dict:
        """As torch's, with each projector as its matrix."""
        packed = super().state_dict()
        packed["state"] = {key: _packed(state) for key, state in packed["state"].items()}
        return packed

    def load_state_dict(self, state_dict: dict) -> None:
        """Reads what `state_dict` wrote."""
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            for parameter in group["params"]:
                state = self.state.get(parameter, {})
                if "projection" in state:
                    projector = GaLoreProjector(
                        group["rank"], update_proj_gap=group["update_proj_gap"], scale=group["scale"],
                        proj_type=group["proj_type"],
                    )  # fmt: skip
                    projector.ortho_matrix = state.pop("projection")
                    state["projector"] = projector


def _packed(state: dict) -> dict:
    kept = {key: value for key, value in state.items() if key != "projector"}
    return kept | ({"projection": state["projector"].ortho_matrix} if "projector" in state else {})

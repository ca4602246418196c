"""Hydra entry points that answer a user's mistake with one sentence, before any compute is spent."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

from cptlab.errors import UserError, closest

CONF = Path(__file__).parents[1] / "conf"


def launch(task: Callable, config_name: str, preflight: Callable[[list[str]], None] | None = None) -> None:
    """Run `task(cfg: DictConfig)` under Hydra, or print the mistake and exit with 2.

    preflight: given the command line's overrides of a multirun, checks every point before the first runs.
    """
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from cptlab.config import register

    os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions come to us, not to Hydra's own printer
    try:
        register()
        overrides = [a for a in sys.argv[1:] if not a.startswith("-")]
        if preflight and {"-m", "--multirun"} & set(sys.argv[1:]):
            preflight(overrides)
        hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(task)()
    except UserError as error:
        refuse(error)
    except (HydraException, OmegaConfBaseException) as error:
        refuse(explain(error, config_name))
    except KeyboardInterrupt:
        print("interrupted; the same command starts unfinished points again", file=sys.stderr)
        sys.exit(130)


def refuse(error: object) -> None:
    """Print the sentence, exit with 2."""
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)


def explain(error: Exception, config_name: str) -> str:
    """One sentence for an error of Hydra or OmegaConf, with the closest valid names."""
    cause = user_error_in(error)
    if cause:
        return str(cause)
    text = " ".join(str(error).split())
    override = re.search(r"[Oo]verride (?:of )?'?([\w.@/+~]+)'?", text)
    key = re.search(r"Key '([^']+)' (?:not in|is not in struct)|Could not override '([^']+)'", text)
    option = re.search(r"Could not find '?(?:\w+/)*?(\w+)/(\w+)'", text) or re.search(r"In '[^']+': Could not find '(\w+)/(\w+)'", text)
    if option:
        group, name = option.groups()
        return f"{group}={name} does not exist.{closest(name, options(group))}"
    full = re.search(r"full_key: (\S+)", text)
    if key or (full and "not in" in text):
        path = next(filter(None, (full and full[1], *(key.groups() if key else ()))), "")
        return f"{path} is no key of {config_name}.{closest(path, known_keys(config_name))}"
    if full:
        reason = re.sub(r"\s*(full_key|object_type|reference_type)[:=].*", "", text)
        return f"{full[1]}: {reason}"
    return text if not override else f"{override[1]}: {text}"


def user_error_in(error: BaseException | None) -> UserError | None:
    """The UserError that a Hydra or OmegaConf exception wraps, if any."""
    while error is not None:
        if isinstance(error, UserError):
            return error
        error = error.__cause__ or error.__context__
    return None


def options(group: str) -> list[str]:
    """Names of the YAML files of a config group."""
    return sorted(file.stem for file in (CONF / group).glob("*.yaml"))


def known_keys(config_name: str) -> list[str]:
    """Dotted keys of the default configuration and of every variant of every group."""
    from omegaconf import OmegaConf

    from cptlab.config import TrainConfig
    from cptlab.fit_config import FitConfig
    from cptlab.variants import discover

    root = {"train": TrainConfig, "fit_law": FitConfig}[config_name]
    names = set()
    groups = discover()
    for name in root.__dataclass_fields__:
        names.add(name)
        for cls in groups.get(name, {}).values():
            names |= {f"{name}.{field}" for field in cls.__dataclass_fields__ if not field.startswith("_")}
    for key, value in OmegaConf.structured(root).items_ex(resolve=False) if False else []:
        names.add(f"{key}.{value}")
    return sorted(names)

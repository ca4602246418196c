"""Hydra entry points that answer a user's mistake with one sentence, before any compute is spent."""

from __future__ import annotations

import math
import os
import re
import select
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from cptlab.errors import UserError, closest

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from cptlab.fit_config import FitConfig

CONF = Path(__file__).parents[1] / "conf"


def launch(task: Callable, config_name: str, preflight: Callable[[list[str]], None] | None = None) -> None:
    """Run `task(config: TrainConfig | FitConfig)` under Hydra, or print the mistake and exit with 2.

    preflight: given the command line's overrides of a multirun, checks every point before the first runs.
    """
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from cptlab.config import register

    os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions come to us, not to Hydra's own printer

    def checked(cfg: DictConfig) -> None:
        try:
            task(typed(cfg))
        except UserError as error:
            refuse(error)

    try:
        register(config_name)
        flags, overrides = split_arguments(sys.argv[1:])
        overrides = [dict_override(override) for override in overrides]
        sys.argv[1:] = flags + overrides
        if {"-h", "--help"} & set(flags):
            from cptlab.help import help_text

            print(help_text(config_name, overrides), flush=True)
            return
        if preflight and {"-m", "--multirun"} & set(flags):
            preflight(overrides)
        hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(checked)()
        sys.stdout.flush()
    except UserError as error:
        refuse(error)
    except (HydraException, OmegaConfBaseException) as error:
        refuse(explain(error, config_name))
    except OSError as error:
        stop(error)
    except KeyboardInterrupt:
        from cptlab.training.parallel.launch import was_started

        if not was_started():
            print("interrupted; the same command starts unfinished points again", file=sys.stderr)
        sys.exit(130)


def split_arguments(arguments: list[str]) -> tuple[list[str], list[str]]:
    """(flags with their values, overrides): argparse takes flags only before the overrides, users type both ways."""
    overrides = [a for a in arguments if not a.startswith("-") and ("=" in a or a.startswith("~"))]
    return [a for a in arguments if a not in overrides], overrides


def dict_override(argument: str) -> str:
    """`data.corpora={a: x}` -> `++data.corpora={a: x}`: Hydra lets a mapping gain keys only with a plus.

    A name of three parts, `source.columns.loss=x`, is a key of such a mapping, for no group has deeper fields.
    """
    gains = re.match(r"[\w.]+=\{", argument) or re.match(r"(?!hydra\.)\w+\.\w+\.[^=]+=", argument)
    return f"++{argument}" if gains else argument


def refuse(error: object) -> NoReturn:
    """Print the sentence, exit with 2; of several processes one speaks, or the one that started them."""
    from cptlab.training.parallel.launch import leave_note, refuses_aloud, tell_torchrun

    if not leave_note(str(error)):
        tell_torchrun(f"error: {error}")
        if refuses_aloud():
            print(f"error: {error}", file=sys.stderr)
    sys.exit(2)


def stop(error: OSError) -> NoReturn:
    """Print what the system says, with the file where it names one; leave quietly where no one reads our output."""
    if isinstance(error, BrokenPipeError) and output_is_closed():
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left goes nowhere
        sys.exit(141)  # 128 + SIGPIPE, as of a program that the closed pipe ended
    refuse(f"{error.strerror}: {error.filename}" if error.filename and error.strerror else error.strerror or error)


def output_is_closed() -> bool:
    """Whether the reader of stdout has gone, e.g. `| head`; false where the system cannot tell."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)  # errors and hang-ups are always reported
        return bool(poll.poll(0))
    except (OSError, AttributeError):  # stdout is no file; no poll on this system
        return False


def typed(cfg: DictConfig) -> Any:
    """The dataclasses behind a composed configuration. UserError for a wrong value or an added key."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    groups = [(f"{name}.", cfg[name]) for name in cfg if OmegaConf.is_dict(cfg[name])]
    for prefix, node in [("", cfg), *groups]:
        kind = OmegaConf.get_type(node)
        if kind is not None and hasattr(kind, "__dataclass_fields__"):
            for key in node:
                if key not in kind.__dataclass_fields__:
                    known = [f"{prefix}{name}" for name in kind.__dataclass_fields__]
                    raise UserError(f"{prefix}{key} is no key of {kind.__name__}.{closest(f'{prefix}{key}', known)}")
    refuse_infinite(OmegaConf.to_container(cfg, resolve=True), "")
    try:
        return OmegaConf.to_object(cfg)
    except OmegaConfBaseException as error:
        raise UserError(explain(error, "train")) from error


def compose_fit(overrides: list[str]) -> FitConfig:
    """The typed configuration of fit_law.py. UserError names what is wrong. Reads no rows."""
    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from cptlab.config import register

    register("fit_law")
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            return typed(compose("fit_law", [dict_override(override) for override in overrides]))
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain(error, "fit_law")) from error


def refuse_infinite(value: Any, path: str) -> None:
    """UserError for a NaN or infinite number anywhere in a configuration: none of ours may be one."""
    if isinstance(value, dict):
        for key, entry in value.items():
            refuse_infinite(entry, f"{path}.{key}" if path else str(key))
    elif isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{path} is {value}; it must be a finite number")


def explain(error: Exception, config_name: str) -> str:
    """One sentence for an error of Hydra or OmegaConf, with the closest valid names."""
    from cptlab.variants import HOMES, discover_group

    if cause := user_error_in(error):
        return str(cause)
    text = " ".join(str(error).split())
    if option := re.search(r"Could not find '?(?:\w+/)*?(\w+)/(\w+)'", text):
        return f"{option[1]}={option[2]} does not exist.{closest(option[2], options(option[1]))}"
    full = re.search(r"full_key: (\S+)", text)
    key = re.search(r"Could not override '([^']+)'|Key '([^']+)' (?:not in|is not in struct)", text)
    if key:
        path = key[1] or (full[1] if full else key[2])
        head, _, name = path.rpartition(".")
        variants = discover_group(head) if head in HOMES else {}
        if owners := [v for v, cls in variants.items() if name in cls.__dataclass_fields__]:
            return f"{path} is a key of {head}={' or '.join(owners)} only, not of the {head} chosen here"
        siblings = [key for key in known_keys(config_name) if key.rpartition(".")[0] == head]
        return f"{path} is no key of {config_name}.{closest(path, siblings or known_keys(config_name))}"
    if wrong := re.search(r"Error merging override (\S+?)=", text):
        reason = str(error.__cause__ or error).splitlines()[0]
        return f"{wrong[1].lstrip('+')}: {reason}"
    return f"{full[1]}: {str(error).splitlines()[0]}" if full else text


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
    """Dotted keys of a configuration, those of every variant of every group included."""
    from dataclasses import fields, is_dataclass

    from cptlab.variants import HOMES, discover_group

    if config_name == "train":
        from cptlab.config import TrainConfig as Config
    else:
        from cptlab.fit_config import FitConfig as Config
    names = set()
    for field in fields(Config):
        names.add(field.name)
        classes = list(discover_group(field.name).values()) if field.name in HOMES else []
        if not classes and isinstance(field.type, type) and is_dataclass(field.type):
            classes = [field.type]
        names |= {f"{field.name}.{inner.name}" for cls in classes for inner in fields(cls) if inner.init}
    return sorted(names)

"""Finding the engine that ``module:engine`` means."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from types import ModuleType

from callengine.brain.agent import Agent
from callengine.engine import Engine
from callengine.errors import CallEngineError

EXAMPLE = "for example: callengine serve app:engine, where app.py has engine = Engine(agent)"


class BadTarget(CallEngineError):
    """There is no engine where one was looked for. The message says what is there; where the user's own code raised,
    that is the ``__cause__``."""


def load_engine(target: str) -> Engine:
    """The engine that ``module:name`` means, imported from the current directory or from what is installed.

    Raises `BadTarget`; and whatever `CallEngineError` the module itself raises, since that says what to do.
    """
    module_name, colon, name = target.partition(":")
    if not colon or not module_name or not name:
        raise BadTarget(f"{target!r} is not of the form module:engine; {EXAMPLE}")
    if module_name.endswith(".py") or os.sep in module_name:
        dotted = module_name.removesuffix(".py").strip("./").replace(os.sep, ".")
        raise BadTarget(f"{target!r} names a file: give its module, as in {dotted}:{name}")
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    module = _import(module_name)
    value = module
    for part in name.split("."):
        if not hasattr(value, part):
            raise BadTarget(f"{module_name} has no {name!r}: {_what_is_in(module)}; {EXAMPLE}")
        value = getattr(value, part)
    return _engine(value, target)


def _engine(value: object, target: str) -> Engine:
    if isinstance(value, Engine):
        return value
    name = target.partition(":")[2]
    if isinstance(value, Agent) or (callable(value) and not isinstance(value, type)):
        what = "an agent" if isinstance(value, Agent) else f"a {type(value).__name__}"
        raise BadTarget(f"{target} is {what}, not an engine: put engine = Engine({name}) behind it, and serve that")
    raise BadTarget(f"{target} is a {type(value).__name__}, not an engine; {EXAMPLE}")


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except CallEngineError:
        raise
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise BadTarget(f"{name} cannot be imported: {error}") from error
        raise BadTarget(
            f"there is no module {error.name!r}: looked in {os.getcwd()} ({_modules_here()}) and among the installed "
            f"packages; {EXAMPLE}"
        ) from None
    except Exception as error:
        raise BadTarget(f"{name} cannot be imported: {type(error).__name__}: {error}") from error


def _modules_here() -> str:
    names = sorted(path.stem for path in Path.cwd().glob("*.py"))
    if not names:
        return "no .py files there"
    shown = ", ".join(names[:8])
    return f"there: {shown}, ..." if len(names) > 8 else f"there: {shown}"


def _what_is_in(module: ModuleType) -> str:
    values = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    engines = [name for name, value in values.items() if isinstance(value, Engine)]
    if engines:
        return f"its engines: {', '.join(engines)}"
    agents = [name for name, value in values.items() if isinstance(value, Agent)]
    if agents:
        return f"there is no engine in it, but an agent ({', '.join(agents)}): make one, engine = Engine({agents[0]})"
    return "there is no engine in it"

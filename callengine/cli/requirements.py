"""What this package requires, from its own metadata, against what is installed."""

from __future__ import annotations

import re
from importlib import metadata

import attrs

_REQUIREMENT = re.compile(
    r"(?P<name>[\w.-]+)(?:\[(?P<extras>[^]]*)\])?(?P<bounds>[^;]*)(?:;.*extra == ['\"](?P<extra>\w+))?"
)
_BOUND = re.compile(r"(==|>=|<)\s*([\d.]+)")


@attrs.frozen
class Requirement:
    """A package that is wanted, and which versions will do."""

    name: str
    bounds: tuple[tuple[str, str], ...]

    @property
    def wanted(self) -> str:
        """As pip writes it."""
        return self.name + ",".join(f"{sign}{version}" for sign, version in self.bounds)

    def installed(self) -> str | None:
        """The version that is there; None where the package is missing."""
        try:
            return metadata.version(self.name)
        except metadata.PackageNotFoundError:
            return None

    def allows(self, version: str) -> bool:
        """Whether this version will do. Only the release numbers count."""
        have = _release(version)
        return all(_holds(have, sign, _release(bound)) for sign, bound in self.bounds)


def requirements() -> dict[str, list[Requirement]]:
    """The packages by extra; those that are always needed are under the empty name."""
    groups: dict[str, list[Requirement]] = {}
    for line in metadata.requires("callengine") or ():
        match = _REQUIREMENT.match(line)
        if match is None or match["name"] == "callengine":
            continue  # an extra that includes another one
        bounds = tuple((sign, version) for sign, version in _BOUND.findall(match["bounds"]))
        groups.setdefault(match["extra"] or "", []).append(Requirement(match["name"], bounds))
    return groups


def _release(version: str) -> tuple[int, ...]:
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def _holds(have: tuple[int, ...], sign: str, bound: tuple[int, ...]) -> bool:
    size = max(len(have), len(bound))
    have, bound = have + (0,) * (size - len(have)), bound + (0,) * (size - len(bound))
    return have == bound if sign == "==" else have >= bound if sign == ">=" else have < bound

"""The figures of all rounds, by scenario and target."""

from __future__ import annotations

import statistics
from collections import defaultdict

Figures = dict[str, float]
# What the way through a server adds is judged: the direct way's figure of the same round goes off.
_ADDED = ("first_p50", "first_p99", "delay_p50", "delay_p99")


class Results:
    """Collects rounds; a figure is the median of those in which it was measured."""

    def __init__(self) -> None:
        self._rounds: dict[tuple[str, str], list[Figures]] = defaultdict(list)
        self._current: dict[tuple[str, str], Figures] = {}
        self._given_up: dict[tuple[str, str], str] = {}

    def add(self, scenario: str, target: str, figures: Figures) -> None:
        """Keeps what one round measured."""
        self._current[scenario, target] = figures

    def give_up(self, scenario: str, target: str, why: str, figures: Figures | None = None) -> None:
        """Notes that the target cannot do this, with what was measured until then."""
        self._given_up[scenario, target] = why
        if figures:
            self.add(scenario, target, figures)

    def is_given_up(self, scenario: str, target: str) -> bool:
        """Whether it was noted."""
        return (scenario, target) in self._given_up

    def note(self, scenario: str, target: str) -> str:
        """Why the target cannot do this; empty where it can."""
        return self._given_up.get((scenario, target), "")

    def end_round(self) -> None:
        """Subtracts the direct way from what was measured beside it."""
        for (scenario, target), figures in self._current.items():
            direct = self._current.get((scenario, "direct"), {})
            added = {
                f"added_{name}": figures[name] - direct[name]
                for name in _ADDED
                if name in figures and name in direct and target != "direct"
            }
            self._rounds[scenario, target].append({**figures, **added})
        self._current = {}

    def targets(self, scenario: str) -> list[str]:
        """The targets that took part, in the order of their first figures."""
        noted = [target for name, target in self._given_up if name == scenario]
        found = [target for name, target in self._rounds if name == scenario]
        return list(dict.fromkeys([*found, *noted]))

    def scenarios(self) -> list[str]:
        """The scenarios that were run."""
        return list(dict.fromkeys(name for name, _ in [*self._rounds, *self._given_up]))

    def figure(self, scenario: str, target: str, name: str) -> float | None:
        """The median of the rounds."""
        rounds = self._rounds.get((scenario, target), [])
        values = [figures[name] for figures in rounds if name in figures]
        return statistics.median(values) if values else None

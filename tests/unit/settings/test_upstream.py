from __future__ import annotations

import re
from pathlib import Path

import pytest

from sitebrook.errors import StartError
from sitebrook.settings import ProviderSettings, Settings, UpstreamSettings


def load(tmp_path: Path, text: str = "", **environ: str) -> dict[str, ProviderSettings]:
    """The providers by name, of a file and further variables."""
    file = tmp_path / "sitebrook.toml"
    file.write_text(text, "utf-8")
    settings = Settings.load({"SITEBROOK_CONFIG": str(file), **environ})
    return {one.name: one for one in settings.providers}


def test_the_defaults_of_both_are_the_same(tmp_path: Path) -> None:
    known = ProviderSettings(name="x")
    for name, value in UpstreamSettings().per_provider().items():
        assert getattr(known, name) == value, name
    found = load(tmp_path, OPENAI_API_KEY="sk")["openai"]
    assert (found.first_delta_timeout_s, found.idle_timeout_s, found.total_timeout_s) == (
        30,
        30,
        300,
    )


def test_a_default_from_the_environment_is_every_provider_s(tmp_path: Path) -> None:
    row = '[[providers]]\nname = "x"\nbase_url = "http://x"\n'
    found = load(
        tmp_path,
        row,
        OPENAI_API_KEY="sk",
        SITEBROOK_UPSTREAM_IDLE_TIMEOUT_S="7",
        SITEBROOK_UPSTREAM_BREAKER_FAILURES="9",
    )
    assert {name: one.idle_timeout_s for name, one in found.items()} == {
        "x": 7,
        "openai": 7,
        "mock": 7,
    }
    assert [found[name].breaker_failures for name in ("x", "openai")] == [9, 9]


def test_a_default_from_the_file_yields_to_the_provider_s_own_row(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        "[upstream]\ntotal_timeout_s = 60\nmax_concurrency = 5\n"
        '[[providers]]\nname = "x"\nbase_url = "http://x"\ntotal_timeout_s = 20\n',
    )
    assert (found["x"].total_timeout_s, found["x"].max_concurrency) == (20, 5)
    assert found["mock"].total_timeout_s == 60


def test_the_mock_has_a_breaker_only_when_its_row_says_so(tmp_path: Path) -> None:
    assert load(tmp_path)["mock"].breaker_failures == 0
    row = '[[providers]]\nname = "mock"\nkind = "mock"\nbreaker_failures = 3\n'
    assert load(tmp_path, row)["mock"].breaker_failures == 3


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("idle_timeout_s = 0", "idle_timeout_s in the settings file: Expected `float` > 0"),
        ("idle_timeout_s = inf", "idle_timeout_s in the settings file: Expected `float` <= 1"),
        ("delta_delay_s = nan", "delta_delay_s in the settings file: Expected `float` >= 0"),
        ("max_concurrency = -1", "max_concurrency in the settings file: Expected `int` >= 0"),
        ("breaker_probes = 0", "breaker_probes in the settings file: Expected `int` >= 1"),
        ('queue_timeout_s = "x"', "queue_timeout_s in the settings file: Expected `float`"),
    ],
)
def test_a_bad_value_in_a_row_is_named(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(StartError, match=re.escape(f"[[providers]] 'x' {message}")):
        load(tmp_path, f'[[providers]]\nname = "x"\nbase_url = "http://x"\n{line}\n')


@pytest.mark.parametrize("name", ["ATTEMPTS", "FIRST_DELTA_TIMEOUT_S", "BREAKER_PROBES"])
def test_a_bad_default_is_named(tmp_path: Path, name: str) -> None:
    env = f"SITEBROOK_UPSTREAM_{name}"
    with pytest.raises(StartError, match=f"{env} is 0"):
        load(tmp_path, **{env: "0"})

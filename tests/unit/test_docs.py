"""What the documentation says is what the code does."""

from __future__ import annotations

import ast
import dataclasses
import itertools
import json
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from sitebrook.cli import cli
from sitebrook.settings import Settings, well_known_names
from sitebrook.telemetry.families import FAMILIES

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
DEMO = ROOT / "backend/sitebrook/demo/documents"
PAGES = [README, ROOT / "backend/README.md", ROOT / "widget/README.md", *sorted(DEMO.glob("*.md"))]
README_LINES = 150
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SETTING_ROW = re.compile(r"^\| `([A-Z0-9_]+)` \| (.+?) \| (.+?) \|$", re.MULTILINE)
_MESSAGES = ("sitebrook needs Python",)  # what scripts/run says, not a command
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def snippets(language: str) -> list[Any]:
    return [
        pytest.param(text, id=f"{page.parent.name}-{page.stem}-{number}")
        for page in PAGES
        for number, (found, text) in enumerate(_FENCE.findall(page.read_text("utf-8")))
        if found == language
    ]


def documented_settings(page: Path) -> dict[str, tuple[str, str]]:
    """Default and meaning by name, as the page's tables have them."""
    rows = _SETTING_ROW.findall(page.read_text("utf-8"))
    return {name: (default.strip("`"), meaning) for name, default, meaning in rows}


def coded_settings() -> dict[str, tuple[str, str]]:
    """Default and meaning by name, as the code has them."""
    shown: dict[str, tuple[str, str]] = {}
    for one in Settings.load({}).loaded:
        text = dataclasses.replace(one, is_secret=False).shown()
        shown[one.env] = (text or "unset", one.meaning)
    return shown


def test_the_readme_is_short() -> None:
    assert len(README.read_text("utf-8").splitlines()) <= README_LINES


def test_the_settings_page_equals_the_code() -> None:
    assert documented_settings(DEMO / "settings.md") == coded_settings()


def test_the_readme_s_settings_are_some_of_the_code_s() -> None:
    coded = coded_settings()
    documented = documented_settings(README)
    assert documented
    assert documented == {name: coded[name] for name in documented}


def test_the_settings_page_names_every_section_and_field() -> None:
    text = (DEMO / "settings.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `\[(\w+)\]` \| (.+) \|$", text, re.MULTILINE))
    documented = {section: re.findall(r"`(\w+)`", names) for section, names in rows.items()}
    coded: dict[str, list[str]] = {}
    for one in Settings.load({}).loaded:
        coded.setdefault(one.section, []).append(one.name)
    assert documented == coded


def test_the_list_of_metrics_equals_the_code() -> None:
    text = (DEMO / "operations.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+?) \| (.+?) \|$", text, re.MULTILINE)
    coded = [
        (one.name, one.kind, ", ".join(f"`{label}`" for label in one.labels) or "none", one.meaning)
        for one in FAMILIES
    ]
    assert rows == coded


def test_every_name_of_a_setting_exists() -> None:
    known = {*coded_settings(), *well_known_names(), "SITEBROOK_CONFIG"}
    for page in [*PAGES, ROOT / ".env.example"]:
        named = set(re.findall(r"\bSITEBROOK_[A-Z0-9_]*[A-Z0-9]\b", page.read_text("utf-8")))
        assert named <= known, page


def commands(text: str) -> Iterator[list[str]]:
    """The words of each command of ours in a page: in shell blocks and in code spans."""
    blocks = [block for language, block in _FENCE.findall(text) if language == "sh"]
    prose = _FENCE.sub("", text)
    spans = re.findall(r"`(sitebrook [^`]+)`", prose)
    for line in [*"\n".join(blocks).replace("\\\n", " ").splitlines(), *spans]:
        words = shlex.split(line, comments=True)
        if "sitebrook" in words and not line.startswith(_MESSAGES):
            yield words[words.index("sitebrook") + 1 :]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_every_command_and_option_exists(page: Path) -> None:
    for words in commands(page.read_text("utf-8")):
        command: click.Command = cli
        rest = list(words)
        while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
            found = command.get_command(click.Context(command), rest.pop(0))
            assert found is not None, words
            command = found
        options = {name for one in command.params for name in one.opts} | {"--help", "-h"}
        assert {word for word in rest if word.startswith("-")} <= options, words
        for option, value in itertools.pairwise(rest):
            chosen = next((one for one in command.params if option in one.opts), None)
            if chosen is not None and isinstance(chosen.type, click.Choice):
                assert value in chosen.type.choices, words


def test_every_command_is_documented() -> None:
    documented = {
        " ".join(word for word in words[:2] if re.fullmatch(r"[a-z]+", word))
        for page in PAGES
        for words in commands(page.read_text("utf-8"))
    }
    names: set[str] = set()
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        inner = command.commands if isinstance(command, click.Group) else {}
        names |= {f"{name} {one}" for one in inner} or {name}
    missing = {name for name in names if not any(one.startswith(name) for one in documented)}
    assert not missing


@pytest.mark.parametrize("text", snippets("json"))
def test_json_is_json(text: str) -> None:
    json.loads(text)


@pytest.mark.parametrize("text", snippets("python"))
def test_python_is_python(text: str) -> None:
    ast.parse(text)


@pytest.mark.parametrize("text", snippets("toml"))
def test_toml_is_a_settings_file(text: str, tmp_path: Path) -> None:
    tomllib.loads(text)
    file = tmp_path / "sitebrook.toml"
    file.write_text(text, "utf-8")
    keys = dict.fromkeys(re.findall(r'api_key_env = "(\w+)"', text), "key")
    Settings.load({"SITEBROOK_CONFIG": str(file), **keys})


@pytest.mark.parametrize("text", snippets("sh"))
def test_shell_commands_parse(text: str) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    subprocess.run([bash, "-n", "-c", text], check=True)
    for body in re.findall(r"-d '([^']+)'", text):
        json.loads(body)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_relative_links_lead_to_files(page: Path) -> None:
    prose = _FENCE.sub("", page.read_text("utf-8"))
    for link in _LINK.findall(prose):
        target = link.partition("#")[0]
        if target and not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), link

from __future__ import annotations

from pathlib import Path

import pytest
from tests.commands import refusal, run, succeed

from sitebrook.db.pool import to_psycopg_url
from sitebrook.errors import StartError


def test_a_bare_database_is_reported_migrated_and_then_current(bare_database_url: str) -> None:
    url = {"DATABASE_URL": bare_database_url}
    before = run("db", "status", **url)
    assert before.returncode == 1
    assert "at revision none" in before.stdout
    assert "Run `sitebrook db migrate`" in before.stdout
    assert "at revision 0" in succeed("db", "migrate", **url)
    assert "at revision 0" in succeed("db", "migrate", **url)
    after = succeed("db", "status", **url)
    assert "at revision 0" in after
    assert "migrate" not in after


def test_every_address_form_that_others_write_is_understood() -> None:
    for scheme in ("postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2"):
        assert to_psycopg_url(f"{scheme}://host/name") == "postgresql+psycopg://host/name"


@pytest.mark.parametrize(
    "url", ["sitebrook", "mysql://host/name", "postgresql://me:s3cret@host:port/name", "://"]
)
def test_what_is_no_address_of_postgresql_is_named_without_its_password(url: str) -> None:
    with pytest.raises(StartError, match="DATABASE_URL is not the address") as refused:
        to_psycopg_url(url)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "postgresql://me:s3cret@127.0.0.1:1/sitebrook",
            "The database of DATABASE_URL does not answer: ",
        ),
        ("sitebrook", "DATABASE_URL"),
    ],
)
def test_a_database_that_cannot_be_used_is_one_line(url: str, message: str) -> None:
    code, line = refusal("site", "list", DATABASE_URL=url)
    assert code == 1
    assert message in line
    assert "s3cret" not in line
    assert line.startswith("sitebrook: ")


def test_settings_show_values_and_origins_and_no_secret(tmp_path: Path) -> None:
    file = tmp_path / "sitebrook.toml"
    file.write_text('[server]\nport = 9000\n[embedding]\napi_key = "file-secret"\n', "utf-8")
    secrets = {
        "DATABASE_URL": "postgresql://me:password-1@host/name",
        "OPENAI_API_KEY": "provider-secret",
        "SITEBROOK_SECRET_KEY": "sk-secret",
    }
    shown = succeed("settings", SITEBROOK_CONFIG=str(file), SITEBROOK_HOST="::1", **secrets)
    rows = {line.split()[0]: line.split()[1:3] for line in shown.splitlines() if line.split()}
    assert rows["SITEBROOK_PORT"] == ["9000", "file"]
    assert rows["SITEBROOK_HOST"] == ["::1", "environment"]
    assert rows["SITEBROOK_MAX_PASSAGES"] == ["6", "default"]
    assert rows["DATABASE_URL"] == ["********", "environment"]
    assert rows["SITEBROOK_SECRET_KEY"] == ["********", "environment"]
    assert rows["SITEBROOK_EMBEDDING_API_KEY"] == ["********", "file"]
    assert rows["openai"][0] == "openai"
    assert not [secret for secret in ("secret-", "-secret", "password-1") if secret in shown]


def test_settings_need_no_database() -> None:
    assert "SITEBROOK_PORT" in succeed("settings", DATABASE_URL="postgresql://127.0.0.1:1/none")


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"SITEBROOK_PROT": "1"}, "Unknown setting SITEBROOK_PROT. Did you mean SITEBROOK_PORT?"),
        ({"SITEBROOK_CONFIG": "/nowhere.toml"}, "SITEBROOK_CONFIG names /nowhere.toml: No such"),
    ],
)
def test_a_wrong_setting_is_one_line(env: dict[str, str], message: str) -> None:
    code, line = refusal("settings", **env)
    assert code == 1
    assert line.startswith(f"sitebrook: {message}")


def test_a_wrong_settings_file_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "sitebrook.toml"
    file.write_text("[server\n", "utf-8")
    code, line = refusal("settings", SITEBROOK_CONFIG=str(file))
    assert code == 1
    assert line.startswith(f"sitebrook: {file} is not valid TOML: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ask", "--bad"], "No such option"),
        (["dance"], "No such command 'dance'."),
        (["ingest"], "Missing argument 'PATH|URL...'."),
        (["search", "x", "--limit", "0"], "Invalid value for '--limit'"),
    ],
)
def test_a_wrong_command_line_is_usage_and_one_line(arguments: list[str], message: str) -> None:
    code, line = refusal(*arguments)
    assert code == 2
    assert message in line

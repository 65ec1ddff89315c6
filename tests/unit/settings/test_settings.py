from __future__ import annotations

from pathlib import Path

import pytest

from sitebrook.errors import StartError
from sitebrook.settings import Settings


def test_defaults_need_no_environment() -> None:
    settings = Settings.load({})
    assert settings.server.port == 8000
    assert [model.id for model in settings.models] == ["mock"]


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "sitebrook.toml"
    file.write_text('[server]\nport = 9000\nhost = "0.0.0.0"\n')
    settings = Settings.load({"SITEBROOK_CONFIG": str(file), "SITEBROOK_PORT": "9001"})
    assert (settings.server.port, settings.server.host) == (9001, "0.0.0.0")
    sources = {one.env: one.source for one in settings.loaded}
    assert sources["SITEBROOK_PORT"] == "environment"
    assert sources["SITEBROOK_HOST"] == "file"
    assert sources["SITEBROOK_DATA_DIR"] == "default"


def test_an_unknown_name_stops_the_start_and_names_the_nearest() -> None:
    with pytest.raises(StartError, match=r"SITEBROOK_PROT.*SITEBROOK_PORT"):
        Settings.load({"SITEBROOK_PROT": "1"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SITEBROOK_PORT", "http"),
        ("SITEBROOK_PORT", "70000"),
        ("SITEBROOK_LATENCY_METRICS", "perhaps"),
        ("SITEBROOK_LOG_LEVEL", "LOUD"),
        ("SITEBROOK_OVERLAP_CHARACTERS", "800"),
        ("SITEBROOK_EARLY_START_S", "0"),
        ("SITEBROOK_KEEP_ALIVE_S", "-1"),
        ("SITEBROOK_KEEP_ALIVE_S", "nan"),
        ("SITEBROOK_UPSTREAM_IDLE_TIMEOUT_S", "inf"),
        ("SITEBROOK_MIN_SCORE", "nan"),
        ("SITEBROOK_DATABASE_POOL_SIZE", "1"),
        ("SITEBROOK_EMBEDDING_BATCH_SIZE", "0"),
        ("SITEBROOK_CHUNK_CHARACTERS", "3"),
        ("SITEBROOK_MAX_PASSAGES", "0"),
        ("SITEBROOK_LATENCY_WINDOW", "-5"),
        ("SITEBROOK_PUBLIC_URL", "chat.example.com"),
        ("SITEBROOK_PUBLIC_URL", "https://example.com/chat"),
        ("SITEBROOK_EMBEDDING_MODEL", "without-a-base-url"),
        ("REDIS_URL", "localhost:6379"),
        ("REDIS_URL", "http://localhost:6379"),
        ("REDIS_URL", "redis://"),
        ("REDIS_URL", "redis://localhost:port"),
        ("REDIS_URL", "redis://localhost/first"),
        ("REDIS_URL", "unix://"),
        ("REDIS_URL", "redis://[::1"),
        ("SITEBROOK_REDIS_TIMEOUT_S", "0"),
        ("SITEBROOK_REDIS_KEY_PREFIX", "{sb}:"),
        ("SITEBROOK_CONFIG", "/nowhere/sitebrook.toml"),
    ],
)
def test_a_bad_value_is_named(name: str, value: str) -> None:
    with pytest.raises(StartError, match=name):
        Settings.load({name: value})


def test_a_provider_key_makes_its_models_appear_before_the_mock() -> None:
    settings = Settings.load({"OPENAI_API_KEY": "secret"})
    assert settings.models[0].id == "openai/gpt-4o-mini"
    assert settings.models[-1].id == "mock"


@pytest.mark.parametrize("name", ["OPENAI", "ANTHROPIC", "GROQ", "MISTRAL"])
def test_the_address_of_a_well_known_provider_needs_a_scheme(name: str) -> None:
    environ = {f"{name}_API_KEY": "k", f"{name}_BASE_URL": "proxy.example/v1"}
    with pytest.raises(StartError, match=f"{name}_BASE_URL is 'proxy.example/v1'"):
        Settings.load(environ)


def test_an_anthropic_key_alone_makes_the_provider_and_its_models() -> None:
    settings = Settings.load({"ANTHROPIC_API_KEY": "k"})
    provider = settings.providers[0]
    assert (provider.name, provider.kind, provider.api_key) == ("anthropic", "anthropic", "k")
    assert provider.base_url == "https://api.anthropic.com/v1"
    assert [model.id for model in settings.models] == [
        *("anthropic/claude-haiku-5-5", "anthropic/claude-sonnet-5-5"),
        *("anthropic/claude-opus-5-5", "mock"),
    ]
    environ = {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": "https://proxy.example"}
    assert Settings.load(environ).providers[0].base_url == "https://proxy.example"


def test_common_models_have_their_list_prices_as_far_as_they_are_known() -> None:
    names = ("OPENAI", "ANTHROPIC", "GROQ", "MISTRAL")
    settings = Settings.load({f"{name}_API_KEY": "k" for name in names})
    prices = {model.id: (model.input_price, model.output_price) for model in settings.models}
    assert prices["openai/gpt-4o-mini"] == (0.15, 0.6)
    assert prices["anthropic/claude-opus-5-5"] == (4, 20)
    assert prices["groq/openai/gpt-oss-20b"] == (0.075, 0.3)
    unknown = {name for name, price in prices.items() if None in price}
    assert unknown == {"mistral/mistral-small-latest", "mistral/mistral-large-latest", "mock"}


def test_a_provider_of_the_file_may_speak_anthropic_s_wire(tmp_path: Path) -> None:
    file = tmp_path / "sitebrook.toml"
    file.write_text('[[providers]]\nname = "claude"\nkind = "anthropic"\nmax_tokens = 9\n')
    provider = Settings.load({"SITEBROOK_CONFIG": str(file)}).providers[0]
    assert (provider.base_url, provider.max_tokens) == ("https://api.anthropic.com/v1", 9)
    file.write_text('[[providers]]\nname = "claude"\nkind = "anthropic"\nmax_tokens = 0\n')
    with pytest.raises(StartError, match="'claude' max_tokens"):
        Settings.load({"SITEBROOK_CONFIG": str(file)})


_OWN_OPENAI = '[[providers]]\nname = "openai"\nbase_url = "https://proxy.example/v1"\n'


@pytest.mark.parametrize("environ", [{}, {"OPENAI_API_KEY": "k"}])
def test_a_well_known_provider_in_the_file_has_its_common_models(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    file = tmp_path / "sitebrook.toml"
    file.write_text(_OWN_OPENAI)
    settings = Settings.load({"SITEBROOK_CONFIG": str(file), **environ})
    assert settings.providers[0].base_url == "https://proxy.example/v1"
    assert [provider.name for provider in settings.providers] == ["openai", "mock"]
    assert settings.models[0].id == "openai/gpt-4o-mini"


@pytest.mark.parametrize(
    "model", ['id = "openai/own"', 'id = "best"\nroute = ["mock/mock", "openai/own"]']
)
def test_a_model_of_a_provider_in_the_file_stands_instead_of_the_common_ones(
    tmp_path: Path, model: str
) -> None:
    file = tmp_path / "sitebrook.toml"
    file.write_text(f"{_OWN_OPENAI}[[models]]\n{model}\n")
    settings = Settings.load({"SITEBROOK_CONFIG": str(file), "OPENAI_API_KEY": "k"})
    assert [model.id for model in settings.models][1:] == ["mock"]


def test_a_model_of_the_file_wins_over_the_common_one_of_the_same_id(tmp_path: Path) -> None:
    file = tmp_path / "sitebrook.toml"
    file.write_text('[[models]]\nid = "openai/gpt-4o"\ncontext_tokens = 9\n')
    settings = Settings.load({"SITEBROOK_CONFIG": str(file), "OPENAI_API_KEY": "k"})
    assert [model.context_tokens for model in settings.models if model.id == "openai/gpt-4o"] == [9]


def test_a_provider_in_the_file_reads_its_key_from_the_named_variable(tmp_path: Path) -> None:
    file = tmp_path / "sitebrook.toml"
    file.write_text(
        '[[providers]]\nname = "local"\nbase_url = "http://127.0.0.1:9/v1"\n'
        'api_key_env = "LOCAL_KEY"\n[[models]]\nid = "best"\nroute = ["local/big"]\n'
    )
    settings = Settings.load({"SITEBROOK_CONFIG": str(file), "LOCAL_KEY": "k"})
    assert settings.providers[0].api_key == "k"
    assert settings.models[0].id == "best"
    with pytest.raises(StartError, match="LOCAL_KEY"):
        Settings.load({"SITEBROOK_CONFIG": str(file)})


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[server]\nprot = 1\n", "prot"),
        ("[sever]\nport = 1\n", "sever"),
        ("port = \n", "TOML"),
        ('[[models]]\nid = "m"\nroute = ["nobody/x"]\n', "nobody/x"),
        ('[[providers]]\nname = "x"\nkind = "openai"\n', "base_url"),
        ('[[providers]]\nname = "x"\ncolour = "red"\n', "colour"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "sitebrook.toml"
    file.write_text(text)
    with pytest.raises(StartError, match=named):
        Settings.load({"SITEBROOK_CONFIG": str(file)})


def test_secrets_are_masked_when_shown() -> None:
    settings = Settings.load({"DATABASE_URL": "postgresql://u:p@h/d"})
    shown = {one.env: one.shown() for one in settings.loaded}
    assert shown["DATABASE_URL"] == "********"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SITEBROOK_TRUSTED_PROXIES", "127.0.0.1,foo"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318"),
        ("SITEBROOK_MIN_SCORE", "1.5"),
        ("SITEBROOK_BM25_B", "2"),
        ("SITEBROOK_UPSTREAM_BREAKER_SHARE", "1.5"),
    ],
)
def test_a_value_that_cannot_be_meant_stops_the_start(name: str, value: str) -> None:
    with pytest.raises(StartError) as refused:
        Settings.load({name: value})
    assert name in str(refused.value)


def test_proxies_may_be_networks_or_all() -> None:
    loaded = Settings.load({"SITEBROOK_TRUSTED_PROXIES": "10.0.0.0/8, ::1, *"})
    assert loaded.server.trusted_proxies == ("10.0.0.0/8", "::1", "*")


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://:secret@[::1]:6379/3",
        "rediss://user:secret@redis.example.com:6380/0?ssl_cert_reqs=none",
        "unix:///run/redis.sock?db=1",
    ],
)
def test_every_form_of_the_address_of_redis_is_taken(url: str) -> None:
    assert Settings.load({"REDIS_URL": url}).redis.url == url


def test_a_refused_address_of_redis_keeps_its_password() -> None:
    with pytest.raises(StartError) as refused:
        Settings.load({"REDIS_URL": "redis://:secret@localhost/first"})
    assert "secret" not in str(refused.value)

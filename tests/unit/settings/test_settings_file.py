from __future__ import annotations

import re
from pathlib import Path

import pytest

from sitebrook.errors import StartError
from sitebrook.settings import Settings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[server\n", "is not valid TOML: "),
        ("[servers]\nport = 1\n", "no section 'servers'"),
        ("[server]\nprot = 1\n", "[server] in the settings file has no 'prot'. Known: host, port"),
        ("server = 1\n", "'server' in the settings file must be a section [server]."),
        ("[[server]]\nport = 1\n", "'server' in the settings file must be a section [server]."),
        ("providers = 1\n", "[[providers]] in the settings file"),
        ("[models]\nid = 1\n", "[[models]] in the settings file"),
        (
            '[[providers]]\nname = "x"\nbase_ulr = "y"\n',
            "[[providers]] 'x' in the settings file has no 'base_ulr'. Known: name, kind, base_url",
        ),
        (
            '[[models]]\nid = "x"\n[[models]]\nname = "y"\n',
            "[[models]] number 2 in the settings file has no 'name'. Known: id, route,",
        ),
        (
            '[[models]]\nid = "x"\ncontext_tokens = "many"\n',
            "[[models]] 'x' context_tokens in the settings file: Expected `int`, got `str`.",
        ),
        ('[[models]]\nid = "x"\nroute = ["none/x"]\n', "Model 'x' has the route 'none/x'"),
        ('[[embedders]]\nmodle = "m"\n', "[[embedders]] in the settings file has no 'modle'."),
        ("[[embedders]]\nbatch_size = 2\n", "each needs a model or a folder."),
        ('[[embedders]]\nmodel = "m"\n', "[[embedders]]: model needs base_url too."),
        ("[embedders]\nbatch_size = 2\n", "must be a list of tables."),
        ('[embedding]\nfolder = "f"\nmodel = "m"\nbase_url = "http://x"\n', "are both set"),
        ('[embedding]\nfolder = "f"\ndimensions = 3\n', "are those of the folder's files"),
        ('[embedding]\nmodel = "m"\nbase_url = "x"\n', "must start with http:// or https://"),
        ("[server]\nport = true\n", "[server] port is True; it must be a whole number."),
        ("[server]\ndrain_s = -1\n", "[server] drain_s is -1.0; it must be at least 0."),
        ("[server]\ndrain_s = inf\n", "[server] drain_s is inf; it must be a number."),
        ("[retrieval]\nmin_score = []\n", "[retrieval] min_score is []; it must be a number."),
    ],
)
def test_a_mistake_in_the_file_is_named_in_one_line(
    tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "sitebrook.toml"
    file.write_text(text, "utf-8")
    with pytest.raises(StartError, match=re.escape(message)) as refused:
        Settings.load({"SITEBROOK_CONFIG": str(file)})
    assert "\n" not in str(refused.value)


def test_further_embedders_stand_in_the_file_with_their_key_in_the_environment(
    tmp_path: Path,
) -> None:
    file = tmp_path / "sitebrook.toml"
    file.write_text(
        '[[embedders]]\nmodel = "m"\nbase_url = "https://x/v1"\napi_key_env = "X_KEY"\n'
        '[[embedders]]\nfolder = "/srv/minilm"\nlanguages = ["en", "it"]\n',
        "utf-8",
    )
    settings = Settings.load({"SITEBROOK_CONFIG": str(file), "X_KEY": "sk-x"})
    first, second = settings.embedders
    assert (first.model, first.base_url, first.api_key) == ("m", "https://x/v1", "sk-x")
    assert (second.folder, second.languages) == (Path("/srv/minilm"), ("en", "it"))
    assert settings.embedding.is_keyless

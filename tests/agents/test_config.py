"""Settings, from files and the environment; keys from the environment alone."""

import pytest

from agents.config import ConfigError, LlmConfig


def read(tmp_path, text):
    path = tmp_path / "model.toml"
    path.write_text(text)
    return LlmConfig.read(path)


def test_a_model_is_enough(tmp_path):
    assert read(tmp_path, 'model = "m"').model == "m"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "model is missing"), ('model = "m"\nmodle = 1', "no setting 'modle'"),
        ('model = "m"\ntemperature = 9', "temperature"), ("model = ", "model.toml"),
        ('model = "m"\nbase_url = "localhost"', "base_url"), ('model = ""', "model"),
        ('model = "m"\napi_key = "sk-1"', "environment variable"),
        ('model = "m"\nOPENAI_API_KEY = "sk-1"', "environment variable"),
        ('model = "m"\napi_key_env = "sk-1234"', "api_key_env"),
        ('model = "m"\nbase_url = "http://me:hunter2@host/v1"', "base_url: a user or a password"),
        ('model = "m"\nbase_url = "http://host/v1?x=1&api_key=hunter2"', "base_url: api_key: a key"),
        ('model = "m"\nextra_body = { apiKey = "hunter2" }', "extra_body.apiKey: a key"),
        ('model = "m"\n[[extra_body.hooks]]\nheaders = { X-Auth = "hunter2" }', "X-Auth: a key"),
        ('model = "m"\nextra_body = { tools = ["Bearer hunter2"] }', "extra_body.tools"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_the_file(tmp_path, text, says):
    with pytest.raises(ConfigError, match=r"model\.toml") as error:
        read(tmp_path, text)
    assert says in str(error.value)


def test_a_secret_is_not_repeated_in_the_error(tmp_path):
    with pytest.raises(ConfigError) as error:
        read(tmp_path, 'model = "m"\nextra_body = { a = { access_token = "hunter2" } }')
    assert "hunter2" not in str(error.value) and "a.access_token" in str(error.value)


@pytest.mark.parametrize(
    "body",
    [
        "max_completion_tokens = 9", "stop_token_ids = [1, 2]", 'keyboard = "de"', "n_keys = 3",
        "token = 3", 'thinking = { type = "enabled", budget_tokens = 9 }',
    ],
)  # fmt: skip
def test_a_count_of_tokens_is_no_secret(tmp_path, body):
    assert read(tmp_path, f'model = "m"\n[extra_body]\n{body}').extra_body


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        LlmConfig.read(tmp_path / "x.toml")


def test_a_price_table_is_looked_for_beside_the_file(tmp_path):
    config = read(tmp_path, 'model = "m"\nprices = "p.toml"')
    assert config.prices == tmp_path / "p.toml"
    assert str(tmp_path) not in str(config.identity())


def test_openais_own_server_needs_a_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        LlmConfig(model="m").api_key()
    assert LlmConfig(model="m", base_url="http://127.0.0.1:1/v1").api_key() == ""
    monkeypatch.setenv("MY_KEY", "secret")
    assert LlmConfig(model="m", api_key_env="MY_KEY").api_key() == "secret"


def test_the_environment_names_a_model(monkeypatch):
    monkeypatch.delenv("ACS_GYM_LLM_MODEL", raising=False)
    with pytest.raises(ConfigError, match="ACS_GYM_LLM_MODEL"):
        LlmConfig.from_environment()
    monkeypatch.setenv("ACS_GYM_LLM_MODEL", "m")
    monkeypatch.setenv("ACS_GYM_LLM_BASE_URL", "http://127.0.0.1:1/v1")
    assert LlmConfig.from_environment() == LlmConfig(model="m", base_url="http://127.0.0.1:1/v1")


def test_the_identity_tells_settings_apart_and_holds_no_key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    first, second = LlmConfig(model="m"), LlmConfig(model="m", temperature=0.5)
    assert first.identity() != second.identity()
    assert "sk-secret" not in str(first.identity())

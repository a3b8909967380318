"""Credentials never go in clear text, come from files or the environment, and are never shown."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.settings import ConfigurationError, load

SECRET = "correct horse battery"
PLAIN = {"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "username": "ann"}
TOKEN = {"security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER"}
OPEN = {"host": "0.0.0.0"}
TLS = {"tls_certificate_file": "c.pem", "tls_key_file": "k.pem"}


@pytest.mark.parametrize(
    ("section", "given", "said"),
    [
        ("broker", {"security_protocol": "SASL_PLAINTEXT"}, "SASL_PLAINTEXT would send credentials"),
        ("broker", PLAIN | {"security_protocol": "PLAINTEXT"}, "sasl_mechanism, username: only used with"),
        ("broker", PLAIN | {"security_protocol": "SSL"}, "and it is SSL; set it to SASL_SSL"),
        ("broker", {"password": SECRET}, "password: only used with security_protocol SASL_SSL"),
        ("broker", {"tls_ca_file": "ca.pem"}, "tls_ca_file: only used with TLS"),
        ("broker", {"security_protocol": "SASL_SSL"}, "SASL_SSL needs one of PLAIN"),
        ("broker", PLAIN, "PLAIN needs username, and either password_file"),
        ("broker", PLAIN | {"username": "", "password": SECRET}, "PLAIN needs username"),
        ("broker", PLAIN | {"password": SECRET, "password_file": "p"}, "PLAIN needs username, and either"),
        ("broker", PLAIN | {"password": SECRET, "oauth_token_file": "t"}, "and no token"),
        ("broker", TOKEN, "either oauth_token_file or oauth_provider"),
        ("broker", TOKEN | {"oauth_token_file": "t", "oauth_provider": "a:b"}, "either oauth_token_file or"),
        ("broker", TOKEN | {"oauth_token_file": "t", "password": SECRET}, "and no password"),
        ("broker", {"security_protocol": "SSL", "tls_key_file": "k"}, "tls_key_file is given alone"),
        ("broker", {"security_protocol": "SSL", "tls_key_password": SECRET}, "is given without tls_key_file"),
        (
            "broker",
            {"security_protocol": "SSL", "tls_key_password": SECRET, "tls_key_password_file": "p"} | TLS,
            "are both given; give one",
        ),
        ("http", OPEN | {"token": SECRET}, r"token: credentials would come in clear text to 0\.0\.0\.0"),
        ("http", OPEN | {"username": "ann", "password": SECRET}, "username: credentials would come in clear text"),
        ("http", {"username": "ann"}, "username and a password"),
        ("http", {"password": SECRET}, "username and a password"),
        ("http", {"token": SECRET, "token_file": "t"}, "token and token_file are both given"),
        ("http", {"tls_certificate_file": "c"}, "tls_certificate_file is given alone"),
    ],
)
def test_what_would_be_unsafe_or_is_not_whole_is_refused_by_name(
    section: str, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said) as refused:
        load(overrides={section: given})
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("section", "given"),
    [
        ("broker", PLAIN | {"password": SECRET}),
        ("broker", PLAIN | {"sasl_mechanism": "SCRAM-SHA-512", "password_file": "p"} | TLS),
        ("broker", TOKEN | {"oauth_provider": "tokens:fetch"}),
        ("broker", {"security_protocol": "SSL", "tls_ca_file": "ca.pem", "tls_key_password": SECRET} | TLS),
        ("http", {"token": SECRET}),
        ("http", OPEN | {"token": SECRET} | TLS),
        ("http", OPEN | {"token_file": "t", "clear_text_credentials": True}),
        ("http", {"host": "::1", "username": "ann", "password_file": "p"}),
    ],
)
def test_what_is_safe_is_taken_and_shows_no_secret(section: str, given: dict[str, Any]) -> None:
    settings = load(overrides={section: given})
    for shown in (str(settings), repr(settings), str(settings.model_dump(mode="json")), settings.model_dump_json()):
        assert SECRET not in shown


@pytest.mark.parametrize("setting", ["broker.password", "broker.tls_key_password", "http.token", "http.password"])
def test_a_secret_in_the_configuration_file_is_refused_with_the_places_where_it_belongs(
    setting: str, tmp_path: Path
) -> None:
    section, name = setting.split(".")
    file = tmp_path / "calmstream.yaml"
    file.write_text(f"{section}:\n  {name}: {SECRET}\n")
    with pytest.raises(ConfigurationError) as refused:
        load(file)
    assert f"{setting}: secrets do not stand in the configuration file" in str(refused.value)
    assert f"{setting}_file" in str(refused.value)
    assert f"CALMSTREAM_{section.upper()}__{name.upper()}" in str(refused.value)
    assert SECRET not in str(refused.value)


def test_a_secret_is_read_from_its_file_without_the_end_of_the_line(tmp_path: Path) -> None:
    file = tmp_path / "password"
    settings = load(overrides={"broker": PLAIN | {"password_file": str(file)}})
    for content in (SECRET, f"{SECRET}\n", f"{SECRET}\r\n"):
        file.write_text(content, newline="")
        assert settings.broker.read_password() == SECRET


@pytest.mark.parametrize(("content", "said"), [(None, "No such file"), (b"\n", "is empty"), (b"\xff", "not UTF-8")])
def test_a_secret_that_cannot_be_read_names_setting_and_file(content: bytes | None, said: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    settings = load(overrides={"http": {"token_file": str(file)}})
    with pytest.raises(ConfigurationError, match=rf"http\.token_file: the file .*token.*{said}"):
        settings.http.read_token()

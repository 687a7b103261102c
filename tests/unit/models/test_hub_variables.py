"""Variables of the hub's client: wrong values are named before the client is built."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
import trustme

from llmsuggestd.errors import ConfigError
from llmsuggestd.models import hub_variables


@pytest.fixture(autouse=True)
def _environment(tmp_path: Path) -> Iterator[None]:
    """An environment with only a home."""
    with mock.patch.dict(os.environ, {"HOME": str(tmp_path)}, clear=True):
        yield


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the certificate of one authority."""
    path = tmp_path_factory.mktemp("tls") / "authority.pem"
    trustme.CA().cert_pem.write_to_path(str(path))
    return path


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"HF_ENDPOINT": "", "HF_HUB_DOWNLOAD_TIMEOUT": " ", "HF_TOKEN": "", "SSL_CERT_FILE": ""},
        {"HF_ENDPOINT": "https://hub.example.org/mirror/", "HF_HUB_DOWNLOAD_TIMEOUT": "30"},
        {"HF_TOKEN": "hf_abc\n", "HTTPS_PROXY": "proxy.example.org:3128"},
        {"HTTP_PROXY": "http://name:p%40ss@[::1]:3128", "NO_PROXY": "*, ::1, fd00::/8, [bad"},
        {"ALL_PROXY": "socks5h://127.0.0.1:1080", "all_proxy": "socks5://127.0.0.1"},
        {"HTTP_PROXY": "http://p:1", "HTTPS_PROXY": "http://p:1", "ALL_PROXY": "quic://never-used"},
        {"HF_HUB_OFFLINE": "1", "HTTPS_PROXY": "nonsense://", "SSL_CERT_FILE": "/nope"},
    ],
)
def test_valid_values_build_a_client(variables: dict[str, str]) -> None:
    os.environ |= variables
    hub_variables.prepare()
    import huggingface_hub

    if not hub_variables.offline_variable():
        huggingface_hub.close_session()
        huggingface_hub.get_session()
        huggingface_hub.close_session()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("HF_ENDPOINT", "hub.example.org", "does not begin with http:// or https://"),
        ("HF_ENDPOINT", "ftp://hub.example.org", "ftp:// is not supported"),
        ("HF_ENDPOINT", "http://[bad", "its host or its port is malformed"),
        ("HF_ENDPOINT", "https://", "it names no host"),
        ("HF_ENDPOINT", "https://hub.example.org:0", "port 0 cannot be reached"),
        ("HF_ENDPOINT", "https://hub.example.org /x", "white space"),
        ("HF_ENDPOINT", "https://me:secret@:80", "it names no host"),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "abc", "not a number of seconds"),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "-5", "not a number of seconds"),
        ("HF_HUB_ETAG_TIMEOUT", "1.5", "not a number of seconds"),
        ("HTTP_PROXY", "http://127.0.0.1:port", "its host or its port is malformed"),
        ("https_proxy", "http://127.0.0.1:99999", "its host or its port is malformed"),
        ("HTTPS_PROXY", "http://", "it names no host"),
        ("HTTPS_PROXY", "http://proxy example:1", "white space"),
        ("ALL_PROXY", "socks4://127.0.0.1:1080", "socks4:// is not supported"),
        ("HTTP_PROXY", "http://me:secret/or@not@proxy:port", "its host or its port is malformed"),
        ("all_proxy", "http://\udcff:1", "bytes that are not text"),
        ("SSL_CERT_FILE", "/nope/cacert.pem", "No such file or directory"),
        ("REQUESTS_CA_BUNDLE", "/nope", "No such file or directory"),
        ("CURL_CA_BUNDLE", "/proc", "under a hashed name"),
        ("SSL_CERT_DIR", "/nope", "under a hashed name"),
    ],
)
def test_wrong_values_are_named(name: str, value: str, words: str) -> None:
    os.environ[name] = value
    with pytest.raises(ConfigError) as caught:
        hub_variables.prepare()
    assert caught.value.message.startswith(f"{name}=")
    assert words in caught.value.message
    assert "unset" in caught.value.hint
    assert "secret" not in caught.value.message
    (caught.value.message + caught.value.hint).encode()


@pytest.mark.parametrize("content", ["", "not a certificate", "-----BEGIN CERTIFICATE-----\nAA\n"])
@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_file_without_certificates_is_named(tmp_path: Path, name: str, content: str) -> None:
    file = tmp_path / "cert.pem"
    file.write_text(content)
    os.environ[name] = str(file)
    with pytest.raises(ConfigError, match=f"{name}=.*there is no certificate"):
        hub_variables.prepare()


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_other_programs_variables_count_too(name: str, certificate: Path) -> None:
    os.environ[name] = str(certificate)
    hub_variables.prepare()
    assert os.environ["SSL_CERT_FILE"] == str(certificate)


def test_a_folder_of_certificates(tmp_path: Path, certificate: Path) -> None:
    (tmp_path / "a.pem").write_bytes(certificate.read_bytes())
    os.environ["REQUESTS_CA_BUNDLE"] = str(tmp_path)
    with pytest.raises(ConfigError, match="openssl rehash"):
        hub_variables.prepare()
    (tmp_path / "a.pem").rename(tmp_path / "0123abcd.0")
    hub_variables.prepare()
    assert os.environ["SSL_CERT_DIR"] == str(tmp_path)
    assert "SSL_CERT_FILE" not in os.environ


def test_the_users_own_file_is_preferred_to_the_systems_folder(certificate: Path) -> None:
    os.environ |= {"SSL_CERT_DIR": "/etc/ssl/certs", "REQUESTS_CA_BUNDLE": str(certificate)}
    hub_variables.prepare()
    assert os.environ["SSL_CERT_FILE"] == str(certificate)
    assert hub_variables.certificates_variable() == "REQUESTS_CA_BUNDLE"


def test_gnomes_spelling_of_socks_is_accepted() -> None:
    os.environ["ALL_PROXY"] = "socks://127.0.0.1:1080/"
    hub_variables.prepare()
    assert os.environ["ALL_PROXY"] == "socks5://127.0.0.1:1080/"


@pytest.mark.parametrize("token", ["hf_é", "hf_a b", "“hf_a”", "hf_\udcff"])
def test_an_invalid_token_is_neither_sent_nor_printed(tmp_path: Path, token: str) -> None:
    os.environ["HF_TOKEN"] = token
    with pytest.raises(ConfigError, match="HF_TOKEN has a character") as caught:
        hub_variables.prepare()
    assert token not in caught.value.message
    del os.environ["HF_TOKEN"]
    file = tmp_path / ".cache" / "huggingface" / "token"
    file.parent.mkdir(parents=True)
    file.write_bytes(token.encode(errors="surrogateescape"))
    with pytest.raises(ConfigError, match=r"huggingface/token.* has a character") as caught:
        hub_variables.prepare()
    assert "write a new token into it" in caught.value.hint


def test_a_tokens_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    os.environ["HF_HOME"] = str(tmp_path / "hf")
    (tmp_path / "hf" / "token").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"hf/token: Is a directory") as caught:
        hub_variables.prepare()
    assert "HF_HOME sets its location" in caught.value.hint


def test_the_proxy_of_an_address_is_named_without_its_password() -> None:
    os.environ |= {"HTTPS_PROXY": "http://me:secret@proxy:3128", "NO_PROXY": "near.example"}
    os.environ["ALL_PROXY"] = "socks5://other:1"
    proxy = hub_variables.proxy_of("https://far.example/x")
    assert str(proxy) == "HTTPS_PROXY=http://…@proxy:3128"
    assert str(hub_variables.proxy_of("http://far.example")) == "ALL_PROXY=socks5://other:1"
    assert hub_variables.proxy_of("https://near.example:8443") is None


def test_a_cache_in_the_home_is_left_to_the_client() -> None:
    hub_variables.prepare()
    assert "HF_HOME" not in os.environ


@pytest.mark.parametrize("home", ["", "relative"])
def test_the_cache_is_set_if_the_client_would_find_no_home(home: str) -> None:
    """The client would make a folder named `~`, or one below the root."""
    os.environ["HOME"] = home
    hub_variables.prepare()
    account = Path(pwd.getpwuid(os.getuid()).pw_dir)
    assert os.environ["HF_HOME"] == str(account / ".cache" / "huggingface")


def test_without_any_home_the_cache_is_below_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del os.environ["HOME"]
    monkeypatch.setattr(pwd, "getpwuid", mock.Mock(side_effect=KeyError))
    with pytest.raises(ConfigError, match="there is no home"):
        hub_variables.prepare()
    os.environ["LLMSUGGESTD_HOME"] = str(tmp_path)
    hub_variables.prepare()
    assert os.environ["HF_HOME"] == str(tmp_path / "cache" / "huggingface")

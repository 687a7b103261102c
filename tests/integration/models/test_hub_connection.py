"""The connection to the hub: proxies, certificates, and the cache."""

from __future__ import annotations

import contextlib
import datetime
import os
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from llmsuggestd.errors import ExitCode
from tests.conftest import COMMAND
from tests.support.hub import serving
from tests.support.socks import proxying

from .conftest import REPO, Puller, pulling_from

NOT_ALLOWED, NO_REPLY_OF_SOCKS = 2, 0xFF
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@pytest.fixture(autouse=True)
def _no_certificates_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CERTIFICATES:
        monkeypatch.delenv(name, raising=False)


def refused(result: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """Check that a command failed immediately, with these words in its error and its hint."""
    assert result.returncode == code, result.stderr
    assert len(result.stderr.splitlines()) == 2, result.stderr
    for word in words:
        assert word in result.stderr


def test_through_a_socks_proxy(puller: Puller) -> None:
    port = puller.hub.url.rpartition(":")[2]
    with proxying() as socks:
        result = puller.run(
            "pull",
            REPO,
            HF_ENDPOINT=f"http://hub.example:{port}",  # only the proxy can resolve that name
            ALL_PROXY=f"socks5h://{socks.address}",
            NO_PROXY="",
        )
        assert result.returncode == 0, result.stderr
        assert {host for host, _ in socks.asked} == {"hub.example", "localhost"}


def test_a_conversion_goes_through_a_socks_proxy_too(puller: Puller, tmp_path: Path) -> None:
    port = puller.hub.url.rpartition(":")[2]
    with proxying() as socks:
        variables = puller.env | {
            "HF_ENDPOINT": f"http://hub.example:{port}",
            "ALL_PROXY": f"socks://{socks.address}/",  # GNOME's spelling
            "NO_PROXY": "",
        }
        result = subprocess.run(
            [*COMMAND, "convert", REPO, "--quiet"],
            cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
        assert socks.asked


def test_a_socks_proxy_that_may_not_be_used(puller: Puller) -> None:
    with proxying(refuse=NOT_ALLOWED) as socks:
        result = puller.run("pull", REPO, ALL_PROXY=f"socks5://{socks.address}", NO_PROXY="")
        refused(result, ExitCode.NETWORK, f"through ALL_PROXY=socks5://{socks.address}", "refuses")


def test_a_proxy_that_does_not_speak_socks(puller: Puller) -> None:
    with proxying(refuse=NO_REPLY_OF_SOCKS) as socks:
        result = puller.run("pull", REPO, ALL_PROXY=f"socks5://{socks.address}", NO_PROXY="")
        refused(result, ExitCode.NETWORK, "does not speak SOCKS 5", "http://")


def test_a_proxy_that_requires_a_password(puller: Puller) -> None:
    puller.hub.faults.statuses["/api/"] = (407, {})
    result = puller.run(
        "pull", REPO, HF_ENDPOINT="http://hub.example", HTTP_PROXY=puller.hub.url, NO_PROXY=""
    )
    refused(result, ExitCode.NETWORK, "the proxy refuses", "HTTP_PROXY=http://NAME:PASSWORD@")


def test_a_proxy_that_makes_no_tunnel(puller: Puller) -> None:
    result = puller.run(
        "pull", REPO, HF_ENDPOINT="https://hub.example", HTTPS_PROXY=puller.hub.url, NO_PROXY=""
    )
    refused(result, ExitCode.NETWORK, f"through HTTPS_PROXY={puller.hub.url}", "the proxy refuses")


def test_a_proxy_that_is_down_is_named(puller: Puller) -> None:
    result = puller.run("pull", REPO, http_proxy="http://me:secret@127.0.0.1:9", NO_PROXY="")
    assert result.returncode == ExitCode.NETWORK
    assert "(through http_proxy=http://…@127.0.0.1:9)" in result.stderr
    assert "is the proxy running?" in result.stderr
    assert "secret" not in result.stderr


def test_a_server_that_speaks_no_tls(puller: Puller) -> None:
    result = puller.run("pull", REPO, HF_ENDPOINT=puller.hub.url.replace("http://", "https://"))
    refused(result, ExitCode.NETWORK, "does not speak TLS", "HF_ENDPOINT")


@contextlib.contextmanager
def over_tls(folder: Path, authority: trustme.CA, *names: str, **facts: Any) -> Iterator[Puller]:
    """A home, and a hub with a certificate for these names (by default its own)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*(names or ("127.0.0.1", "localhost")), **facts).configure_cert(context)
    with pulling_from(folder, context) as puller:
        yield puller


def test_a_companys_own_certificate_authority(checkpoint: Path, tmp_path: Path) -> None:
    authority = trustme.CA()
    with over_tls(checkpoint, authority) as puller:
        refused(
            puller.run("pull", REPO), ExitCode.NETWORK,
            f"the certificate of {puller.hub.url} is not trusted", "set SSL_CERT_FILE",
        )  # fmt: skip
        other, file = tmp_path / "other.pem", tmp_path / "company.pem"
        trustme.CA().cert_pem.write_to_path(str(other))
        authority.cert_pem.write_to_path(str(file))
        result = puller.run("pull", REPO, CURL_CA_BUNDLE=str(other))
        refused(result, ExitCode.NETWORK, "is not trusted", "CURL_CA_BUNDLE is set")
        for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            result = puller.run("pull", REPO, "--dry-run", **{name: str(file)})
            assert result.returncode == 0, result.stderr
        result = puller.run("pull", REPO, REQUESTS_CA_BUNDLE=str(file))
        assert result.returncode == 0, result.stderr


def test_a_certificate_that_has_expired(checkpoint: Path, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "company.pem"))
    past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    with over_tls(checkpoint, authority, not_after=past) as puller:
        result = puller.run("pull", REPO, SSL_CERT_FILE=str(tmp_path / "company.pem"))
        refused(result, ExitCode.NETWORK, "expired", "clock")


def test_a_certificate_of_another_host(checkpoint: Path, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "company.pem"))
    with over_tls(checkpoint, authority, "portal.example") as puller:
        result = puller.run("pull", REPO, SSL_CERT_FILE=str(tmp_path / "company.pem"))
        refused(result, ExitCode.NETWORK, "is not trusted", "login page")


def test_a_cache_that_cannot_be_written_is_named(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "hub").write_text("a file where a folder should be")
    with serving({REPO: checkpoint}) as hub:
        result = subprocess.run(
            [*COMMAND, "convert", REPO, "--quiet"],
            cwd=tmp_path, env=os.environ | hub.environment(tmp_path / "hf"),
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    refused(result, ExitCode.ERROR, f"{tmp_path}/hf/hub", "cannot be written", "HF_HOME")

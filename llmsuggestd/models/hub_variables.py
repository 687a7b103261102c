"""Checks the environment variables of the hub's client before the client reads them.

huggingface_hub and its HTTP client read the environment while they are imported and constructed.
A wrong value fails there with an error that names no variable. So each variable is obeyed, dropped
or reported as an error here:

| variable | treatment |
|---|---|
| any `HF_…` that is empty | dropped: it counts as unset |
| `HF_ENDPOINT` | obeyed; an error unless it is the address of a web server |
| `HF_HUB_DOWNLOAD_TIMEOUT`, `HF_HUB_ETAG_TIMEOUT` | obeyed; an error unless a positive number |
| `HF_TOKEN`, `HUGGING_FACE_HUB_TOKEN`, the token's file | obeyed; an error unless it is a token |
| `HF_HUB_OFFLINE`, `TRANSFORMERS_OFFLINE` | obeyed; the network's variables are not checked then |
| `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` | obeyed, also SOCKS; an error unless an address |
| `NO_PROXY` | obeyed; the client ignores entries that are not valid |
| those in `CERTIFICATES` | the first that is set is obeyed; an error if it has no certificate |
| `HF_HUB_DISABLE_XET` | set: Xet transfers support neither SOCKS nor the variables above |
| `HF_HUB_VERBOSITY` | set to `error` unless it is set, since we report what users need to know |
"""

from __future__ import annotations

import os
import re
import ssl
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from llmsuggestd.errors import ConfigError
from llmsuggestd.paths import get_paths, home

CERTIFICATES: Final = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_DIR")
"""Variables that name trusted certificates, in order of precedence. The client reads
only the first and the last. The folder is last, since it is usually the system's, while a file is
the user's own choice."""

_TIMEOUTS: Final = ("HF_HUB_DOWNLOAD_TIMEOUT", "HF_HUB_ETAG_TIMEOUT")
_TOKENS: Final = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_PROXY_SCHEMES: Final = ("http", "https", "socks5", "socks5h")
_HASHED_NAME: Final = re.compile(r"[0-9a-fA-F]{8}\.\d+")
"""The names under which OpenSSL finds certificates in a folder."""


def prepare() -> None:
    """Prepare the environment for the client. Must be called before huggingface_hub is imported.

    Raises ConfigError, naming the variable, if one cannot be used.
    """
    for name, value in list(os.environ.items()):
        if not value.strip() and (name.startswith(("HF_", "HUGGING")) or name == "XDG_CACHE_HOME"):
            del os.environ[name]
    _name_cache()
    os.environ.setdefault("HF_HUB_DISABLE_XET", "1")
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    _check_endpoint()
    _check_timeouts()
    if not offline_variable():
        _check_token()
        _check_proxies()
        _check_certificates()


def offline_variable() -> str | None:
    """The variable that forbids the use of the network, if one does."""
    name = _first_set(("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))  # as huggingface_hub does
    return name if name and os.environ[name].upper() in ("1", "ON", "YES", "TRUE") else None


class Proxy(NamedTuple):
    """A proxy, and the setting that names it."""

    variable: str
    address: str
    """Without the password."""

    def __str__(self) -> str:
        return f"{self.variable}={self.address}"


def proxy_of(address: str) -> Proxy | None:
    """The proxy through which the client reaches an address."""
    parts = urlsplit(address)
    if proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    for kind in (parts.scheme, "all"):
        if found := getproxies().get(kind):
            return Proxy(_proxy_variable(kind), masked(found))
    return None


def masked(address: str) -> str:
    """An address without its user name and password, if any."""
    return re.sub(r"^(\w+://)?.*@", r"\1…@", address, flags=re.DOTALL)


def certificates_variable() -> str | None:
    """The variable that names the trusted certificates, if one does.

    `prepare` may have copied it to another variable. The result is the one that the user has set.
    """
    name = _first_set(CERTIFICATES)
    same = [other for other in CERTIFICATES if os.environ.get(other) == os.environ.get(name or "")]
    return same[-1] if name else None


def _first_set(names: tuple[str, ...]) -> str | None:
    return next((name for name in names if os.environ.get(name)), None)


def _name_cache() -> None:
    """Set HF_HOME if the client would not find the home, and would make a folder named `~`."""
    if _first_set(("HF_HOME", "XDG_CACHE_HOME")):
        return
    try:
        default = home() / ".cache"
        if Path(os.path.expanduser("~/.cache")) == default:  # noqa: PTH111 - as the client does
            return
    except ConfigError:
        default = get_paths().cache
    os.environ["HF_HOME"] = str(default / "huggingface")


def _check_endpoint() -> None:
    value = os.environ.get("HF_ENDPOINT")
    if value and (problem := _problem(value, ("http", "https"))):
        raise ConfigError(
            f"HF_ENDPOINT={_shown(masked(value))}: {problem}",
            "set it to a mirror's address, such as https://hub.example.org, or unset it",
        )


def _check_timeouts() -> None:
    for name in _TIMEOUTS:
        value = os.environ.get(name, "1")
        if not re.fullmatch(r"\s*0*[1-9][0-9]{0,5}\s*", value):
            raise ConfigError(
                f"{name}={_shown(value)}: not a number of seconds",
                "set it to a whole number such as 30, or unset it",
            )


def _check_token() -> None:
    if name := _first_set(_TOKENS):
        _check_token_text(os.environ[name], name, f"copy the token again, or unset {name}")
        return
    path = _token_file()
    hint = "remove it, or write a new token into it; public models need none"
    if named := _first_set(("HF_TOKEN_PATH", "HF_HOME")):
        hint += f"; {named} sets its location"
    try:
        text = path.read_bytes().decode(errors="surrogateescape")
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigError(
            f"the hub's token cannot be read: {path}: {error.strerror or error}", hint
        ) from None
    _check_token_text(text, f"{path}, the hub's token,", hint)


def _token_file() -> Path:
    """The file in which huggingface_hub looks for a token, without an import of its constants."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or f"{cache}/huggingface"
    path = os.environ.get("HF_TOKEN_PATH") or f"{home}/token"
    return Path(os.path.expandvars(os.path.expanduser(path)))  # noqa: PTH111 - never raises


def _check_token_text(text: str, where: str, hint: str) -> None:
    """Raise ConfigError, without the token, unless it is valid in an HTTP header."""
    token = text.replace("\r", "").replace("\n", "").strip()  # as huggingface_hub cleans it
    if wrong := re.search(r"[^!-~]", token):
        raise ConfigError(f"{where} has a character that tokens cannot have: {wrong[0]!a}", hint)


def _check_proxies() -> None:
    proxies = getproxies()
    kinds = ["http", "https"]
    if not proxies.get("http") or not proxies.get("https"):
        kinds.append("all")
    else:  # it is not used then, but the client would fail on a wrong value
        _drop("all_proxy")
    for kind in kinds:
        if value := proxies.get(kind):
            _check_proxy(_proxy_variable(kind), value)


def _check_proxy(name: str, value: str) -> None:
    if value.lower().startswith("socks://") and name in os.environ:  # GNOME's spelling
        value = os.environ[name] = "socks5" + value[len("socks") :]
    address = value if "://" in value else f"http://{value}"
    if problem := _problem(address, _PROXY_SCHEMES):
        raise ConfigError(
            f"{name}={_shown(masked(value))}: {problem}",
            f"set it to a proxy's address, such as http://proxy.example.org:3128 or"
            f" socks5h://127.0.0.1:1080, or unset it ({', '.join(_PROXY_SCHEMES)} are known)",
        )


def _drop(name: str) -> None:
    """Unset a variable, ignoring case."""
    for written in [key for key in os.environ if key.lower() == name]:
        del os.environ[written]


def _check_certificates() -> None:
    name = _first_set(CERTIFICATES)
    if name is None:
        return
    value = os.environ[name]
    if problem := _certificates_problem(name, value):
        raise ConfigError(
            f"{name}={_shown(value)}: {problem}",
            f"set it to a file with trusted certificates (PEM), or unset {name} to trust those of"
            " this system",
        )
    if name not in ("SSL_CERT_FILE", "SSL_CERT_DIR"):  # the two that the client knows
        os.environ["SSL_CERT_DIR" if Path(value).is_dir() else "SSL_CERT_FILE"] = value


def _certificates_problem(name: str, value: str) -> str:
    """The problem with a file or folder of trusted certificates; empty if there is none."""
    if name == "SSL_CERT_DIR" or (name != "SSL_CERT_FILE" and Path(value).is_dir()):
        return _folder_problem(value)
    try:
        context = ssl.create_default_context(cafile=value)
    except ssl.SSLError:  # before OSError, which is its base class
        return "there is no certificate (PEM) in it"
    except (OSError, ValueError) as error:
        return f"it cannot be read: {getattr(error, 'strerror', None) or error}"
    return "" if context.cert_store_stats()["x509"] else "there is no certificate (PEM) in it"


def _folder_problem(value: str) -> str:
    try:
        names = [
            file.name
            for folder in value.split(os.pathsep)
            if Path(folder).is_dir()
            for file in Path(folder).iterdir()
        ]
    except OSError as error:
        return f"it cannot be read: {error.strerror or error}"
    if not any(_HASHED_NAME.fullmatch(name) for name in names):
        return "it has no certificate under a hashed name (`openssl rehash` makes those names)"
    return ""


def _problem(address: str, schemes: tuple[str, ...]) -> str:
    """The problem with an address; empty if there is none."""
    if re.search(r"[\s\x00-\x1f\x7f\ud800-\udfff]", address):
        return "it contains white space, or bytes that are not text"
    scheme, separator, _ = address.partition("://")
    if not separator:
        return f"it does not begin with {' or '.join(f'{scheme}://' for scheme in schemes)}"
    if scheme.lower() not in schemes:
        return f"{scheme}:// is not supported"
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return "its host or its port is malformed"
    if not parts.hostname:
        return "it names no host"
    return "port 0 cannot be reached" if port == 0 else ""


def _proxy_variable(kind: str) -> str:
    """The name, in its actual case, of the variable that decides for a kind of proxy."""
    name = f"{kind}_proxy"
    if os.environ.get(name):
        return name
    upper = (key for key in os.environ if key.lower() == name)
    return next(upper, f"the system's {kind} proxy")


def _shown(value: str) -> str:
    """A variable's value on one line, whatever it contains."""
    return repr(value) if re.search(r"[\s\x00-\x1f\x7f\ud800-\udfff]", value) else value

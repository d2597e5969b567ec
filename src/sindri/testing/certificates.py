"""Throw-away certificates for TLS servers in tests, made by the `openssl` program.

No library of ours can sign certificates, and a key that lies in a repository is found by every scanner; so each test
run makes its own. OpenSSL 1.1 or newer, or LibreSSL, will do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from types import TracebackType
    from typing import Self

_CONFIG = """\
[req]
distinguished_name = name
prompt = no
[name]
CN = {subject}
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = {names}
authorityKeyIdentifier = keyid
[ca]
default_ca = here
[here]
database = index
serial = serial
new_certs_dir = .
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
"""
_VALID = ("20000101000000Z", "20991231235959Z")
_EXPIRED = ("20000101000000Z", "20010101000000Z")


class CertificateError(Exception):
    """The certificates could not be made: there is no `openssl`, or it failed."""


class ThrowawayAuthority:
    """A certificate authority that lives as long as its context: a folder with its key and what it has signed.

    `certificate` is the path of its own certificate in PEM, which is what a client is told to trust.
    """

    def __init__(self) -> None:
        self.folder = ""
        self._issued = 0

    @staticmethod
    def is_available() -> bool:
        """Whether the `openssl` program is there."""
        return shutil.which("openssl") is not None

    @property
    def certificate(self) -> str:
        """The path of the authority's certificate."""
        return os.path.join(self.folder, "authority.pem")

    def issue(self, *names: str, is_expired: bool = False) -> tuple[str, str]:
        """Return the paths of a certificate for *names* (host names or addresses) and of its key.

        Raises:
            CertificateError: `openssl` failed.
        """
        self._issued += 1
        stem = f"server-{self._issued}"
        known_as = ", ".join(f"{'IP' if _is_address(name) else 'DNS'}:{name}" for name in names)
        self._write(f"{stem}.cnf", _CONFIG.format(subject=names[0], names=known_as))
        self._make_key(f"{stem}.key")
        self._openssl("req", "-new", "-config", f"{stem}.cnf", "-key", f"{stem}.key", "-out", f"{stem}.csr")
        start, end = _EXPIRED if is_expired else _VALID
        signing = ("-cert", "authority.pem", "-keyfile", "authority.key", "-config", f"{stem}.cnf")
        self._openssl(
            *("ca", "-batch", "-notext", *signing, "-extensions", "server", "-startdate", start, "-enddate", end),
            *("-in", f"{stem}.csr", "-out", f"{stem}.pem"),
        )
        return os.path.join(self.folder, f"{stem}.pem"), os.path.join(self.folder, f"{stem}.key")

    def server_context(self, *names: str, is_expired: bool = False) -> ssl.SSLContext:
        """Return what a TLS server known as *names* (default: 127.0.0.1 and localhost) presents itself with."""
        import ssl

        certificate, key = self.issue(*(names or ("127.0.0.1", "localhost")), is_expired=is_expired)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context

    def __enter__(self) -> Self:
        if not self.is_available():
            raise CertificateError("there is no `openssl` program here to make certificates with")
        self.folder = tempfile.mkdtemp(prefix="sindri-authority-")
        try:
            self._write("authority.cnf", _CONFIG.format(subject="Sindri test authority", names="DNS:invalid"))
            self._write("index", "")
            self._write("serial", "01\n")
            self._make_key("authority.key")
            self._openssl(
                *("req", "-x509", "-new", "-config", "authority.cnf", "-extensions", "authority", "-days", "36500"),
                *("-key", "authority.key", "-out", "authority.pem"),
            )
        except BaseException:
            shutil.rmtree(self.folder)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        shutil.rmtree(self.folder)

    def _write(self, name: str, text: str) -> None:
        with open(os.path.join(self.folder, name), "w", encoding="ascii") as file:
            file.write(text)

    def _make_key(self, name: str) -> None:
        self._openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", name)

    def _openssl(self, *arguments: str) -> None:
        done = subprocess.run(
            ["openssl", *arguments],  # noqa: S607 -- the machine's own, wherever it is
            cwd=self.folder,
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            reason = done.stderr.decode("utf-8", "replace").strip()
            raise CertificateError(f"openssl {arguments[0]} ended with status {done.returncode}: {reason}")


def _is_address(name: str) -> bool:
    import ipaddress

    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True

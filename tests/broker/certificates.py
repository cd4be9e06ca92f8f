"""Certificates for brokers and clients of tests, made with OpenSSL."""

from __future__ import annotations

import subprocess
from pathlib import Path

NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


def make_authority(folder: Path) -> Path:
    """An authority: its certificate, `ca.pem`; its key is beside it."""
    certificate = folder / "ca.pem"
    files = ["-keyout", str(folder / "ca.key"), "-out", str(certificate)]
    run(["req", "-x509", *NEW_KEY, "-days", "2", "-subj", "/CN=authority of tests", *files])
    return certificate


def make_certificate(folder: Path, name: str, host: str = "IP:127.0.0.1", days: int = 2) -> Path:
    """A certificate by the authority of the folder, after its key in one file; with -1 days it is out of date."""
    key, request, certificate = (folder / f"{name}.{kind}" for kind in ("key", "csr", "crt"))
    names = ["-subj", f"/CN={name}", "-addext", f"subjectAltName={host}"]
    run(["req", *NEW_KEY, *names, "-keyout", str(key), "-out", str(request)])
    authority = ["-CA", str(folder / "ca.pem"), "-CAkey", str(folder / "ca.key"), "-copy_extensions", "copy"]
    run(["x509", "-req", "-in", str(request), "-days", str(days), *authority, "-out", str(certificate)])
    both = folder / f"{name}.pem"
    both.write_text(key.read_text() + certificate.read_text())
    return both


def run(arguments: list[str]) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)

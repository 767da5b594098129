"""What the programs stand on: the installation, ports, the machine's limits, keys and certificates."""

from __future__ import annotations

import datetime as dt
import os
import resource
import socket
import sqlite3
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from cryptography import x509

from driftgate import ring_folder
from driftgate.doctor.finding import Finding, Subject, fail, ok, one_line, warn
from driftgate.extras import EXTRAS, missing_modules
from gateway.settings import checked as checked_gateway
from gateway.sizing import sized
from groundwork import key_file, open_files
from groundwork.cgroups import memory
from groundwork.data_folder import product_version
from groundwork.errors import SettingsError
from groundwork.processors import processors
from monitor.settings import checked as checked_monitor

SQLITE: Final = (3, 37, 0)
_SOON: Final = dt.timedelta(days=14)
_WORKER_BYTES: Final = 200 << 20
_CONNECT_S: Final = 1.0
_UNTIL: Final = "until then programs that run go by the keys they had, and none starts with these settings"


def installation(_: Subject) -> Iterator[Finding]:
    """Python, SQLite, the libraries that serving needs, and the extras."""
    python = ".".join(map(str, sys.version_info[:3]))
    yield ok("installation", f"driftgate {product_version()} on Python {python}")
    if sqlite3.sqlite_version_info < SQLITE:
        yield fail(
            "installation",
            f"SQLite {sqlite3.sqlite_version}, wanted 3.37 or later",
            "install a Python built with a newer SQLite",
        )
    try:
        found = ", ".join(f"{name} {version(name)}" for name in ("onnxruntime", "numpy", "msgspec"))
        yield ok("installation", found)
    except PackageNotFoundError as error:
        yield fail("installation", f"{error.name} is not installed", "run: pip install driftgate")
    for extra in EXTRAS:
        missing = missing_modules(extra)
        if missing:
            yield warn(
                "installation",
                f"extra {extra}: {', '.join(missing)} not installed",
                f"run: pip install 'driftgate[{extra}]', if its verbs are wanted here",
            )


def settings(subject: Subject) -> Iterator[Finding]:
    """Whether both programs would start with these settings; what is wrong with the keys, `keys` says."""
    faults = []
    for check in (lambda: checked_gateway(subject.gateway), lambda: checked_monitor(subject.monitor)):
        try:
            check()
        except key_file.KeyFileError:
            continue  # it is looked at last, so all else can be honoured
        except SettingsError as error:
            faults.append(one_line(error))
    for fault in dict.fromkeys(faults):
        yield fail("settings", fault, "mend it there; no program starts with these settings")
    if not faults:
        yield ok("settings", "can be honoured")


def ports(subject: Subject) -> Iterator[Finding]:
    """Whether each port is answered by us, or free for us."""
    places: tuple[tuple[str, str, str, int], ...] = (
        ("data port", "http.port", subject.gateway.http.host, subject.gateway.http.port),
        ("operator port", "operator.port", subject.gateway.operator.host, subject.gateway.operator.port),
        ("monitor port", "monitor.port", subject.monitor.host, subject.monitor.port),
    )
    grpc = subject.gateway.grpc
    if grpc.enabled and grpc.port is not None:
        places = (*places, ("gRPC port", "grpc.port", grpc.host, grpc.port))
    # A port may have been given by a flag, or have been any free one: a running `up` says which it is.
    known = ring_folder.addresses(subject.data) if subject.running else {}
    for name, setting, asked_host, asked_port in places:
        host, port = known.get(setting, (asked_host, asked_port))
        where = f"{name} {host}:{port}"
        if port == 0:
            yield ok("ports", f"{name}: any free one")
        elif _answers(host, port):
            if subject.running:
                yield ok("ports", f"{where} answers")
            else:
                yield fail(
                    "ports", f"{where} is taken by another program", f"stop that one, or set {setting}"
                )
        elif subject.running:
            yield fail(
                "ports",
                f"{where}: nobody answers, though the data folder is in use",
                "look into the program's log; give the --config that it was started with",
            )
        else:
            yield ok("ports", f"{where} is free")


def _answers(host: str, port: int) -> bool:
    wildcard = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  what listens everywhere is asked on loopback
    try:
        with socket.create_connection((wildcard.get(host, host), port), _CONNECT_S):
            return True
    except OSError:
        return False


def limits(subject: Subject) -> Iterator[Finding]:
    """Open files, memory and processors against what the settings ask for."""
    # The programs raise what they are given to the hard limit when they start.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = open_files.wanted(subject.gateway.limits.connections)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        yield warn(
            "limits",
            f"{hard} open files a process at most, {wanted} wanted for limits.connections",
            f"raise the hard limit to {wanted} (LimitNOFILE= in systemd), or lower limits.connections",
        )
    else:
        yield ok("limits", "open files without limit" if hard < 0 else f"{hard} open files a process")
    allowed = processors()
    workers = sized(subject.gateway, allowed).workers
    found = memory(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    if found < workers * _WORKER_BYTES:
        yield warn(
            "limits",
            f"{found >> 20} MiB of memory for {workers} workers",
            "give the container more, or set workers lower: each needs some 200 MiB and its models",
        )
    else:
        yield ok("limits", f"{found >> 20} MiB of memory for {workers} workers")
    if round(allowed) < workers:
        yield warn("limits", f"{allowed:g} processors for {workers} workers", "set workers lower, or to 0")
    else:
        yield ok("limits", f"{allowed:g} processors for {workers} workers")


def keys(subject: Subject) -> Iterator[Finding]:
    """The keys file, its mode and expiries; certificates and theirs."""
    now = dt.datetime.fromtimestamp(subject.now / 1e9, dt.UTC)
    name = subject.gateway.keys.file
    if not name:
        yield ok("keys", "none: operator and monitor listen on loopback only")
    else:
        try:
            book = key_file.load(Path(name))
        except SettingsError as error:
            yield fail("keys", one_line(error), _UNTIL)
        else:
            yield ok("keys", f"{name}: {len(book.keys)} keys, private")
            for key in book.keys:
                if key.expires is not None:
                    yield from _expiry(
                        "keys", f"key {key.id} ({key.name})", key.expires, now, "create another"
                    )
    gateway = subject.gateway
    certificates = (gateway.http.tls, gateway.operator.tls, gateway.grpc.tls, subject.monitor.tls)
    for file in sorted({tls.cert for tls in certificates if tls.cert}):
        try:
            found = x509.load_pem_x509_certificate(Path(file).read_bytes())
        except (OSError, ValueError) as error:
            yield fail("keys", f"{file}: {one_line(error)}", "give a PEM certificate")
        else:
            yield from _expiry("keys", f"certificate {file}", found.not_valid_after_utc, now, "renew it")


def _expiry(area: str, name: str, expires: dt.datetime, now: dt.datetime, do: str) -> Iterator[Finding]:
    if expires <= now:
        yield fail(area, f"{name} expired on {expires:%Y-%m-%d}", do)
    elif expires - now < _SOON:
        yield warn(area, f"{name} expires on {expires:%Y-%m-%d}", do)

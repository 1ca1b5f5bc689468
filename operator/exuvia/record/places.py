"""Where a ledger is: a file, or a database of a PostgreSQL server. A password never gets out of here in words."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from exuvia import errors

_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")
_FILE = "sqlite"
FORM = "postgresql://USER@HOST:PORT/DATABASE"
_SHOWN = ("host", "hostaddr", "port", "dbname", "user")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A database of a PostgreSQL server. `parameters` are libpq's, as the URL gave them; what the URL leaves open comes
    from libpq's variables and files (PGPASSWORD, PGPASSFILE, ~/.pgpass, ...). In words it has no password."""

    parameters: tuple[tuple[str, str], ...] = field(repr=False)

    def __str__(self) -> str:
        """The URL with what names the database, and nothing else of it."""
        told = {key: value for key, value in self.parameters if key in _SHOWN}
        user = f"{quote(told['user'], safe='')}@" if "user" in told else ""
        hosts = told.get("host", told.get("hostaddr", "")).split(",")
        ports = told.get("port", "").split(",")
        ports = ports * len(hosts) if len(ports) == 1 else ports
        where = ",".join(_authority(*one) for one in zip(hosts, ports, strict=False))
        return f"postgresql://{user}{where}/{quote(told.get('dbname', ''), safe='')}"

    @property
    def role(self) -> str:
        """The role that the URL names, or "" where libpq finds it elsewhere."""
        return dict(self.parameters).get("user", "")


Place = Path | Server
"""Where a ledger is."""


def place(text: str) -> Place:
    """From what a person wrote: a path, or a URL like `postgresql://USER@HOST:PORT/DATABASE`. Both may be written as
    SQLAlchemy has them, too: `sqlite:///FILE`, `sqlite:////ABSOLUTE/FILE` and `postgresql+psycopg://...`.

    Raises `errors.SettingsError` for what is neither; it repeats nothing that may hold a password.
    """
    if not text.strip():
        raise errors.SettingsError("--ledger is empty.", remedy=f"Name a file, or {FORM}.")
    scheme, sep, rest = text.partition("://")
    if not sep:
        return Path(text)
    if scheme == _FILE:
        return _file(rest)
    if scheme not in _SCHEMES:
        raise errors.SettingsError(f"{scheme}:// is no ledger that exuvia knows.", remedy=f"Name a file, or {FORM}.")
    return Server(parameters=_parameters(f"postgresql://{rest}"))


def absent(where: Place) -> bool:
    """Whether it is a file that is not there. A database is asked when it is opened."""
    return isinstance(where, Path) and not where.is_file()


def nowhere(where: Path) -> errors.LedgerDown:
    """What is said of a file that is not there, or that is a folder."""
    if where.is_dir():
        return errors.LedgerDown(f"{where} is a folder, no ledger.", remedy="Name a file by --ledger.")
    return errors.LedgerDown(f"There is no ledger at {where}.", remedy="Name it by --ledger.")


def _file(rest: str) -> Path:
    """Of `sqlite://` and what follows: a host, which a file has none of, a slash, and the path as it is."""
    host, sep, path = rest.partition("/")
    if host or not sep or not path.strip() or path.startswith(":memory:") or "?" in path:
        said = f"This {_FILE}:// URL does not name a file and nothing else."
        raise errors.SettingsError(said, remedy=f"Write the path of the file, or {_FILE}:/// and the path.")
    return Path(path)


def _parameters(url: str) -> tuple[tuple[str, str], ...]:
    from psycopg import ProgrammingError, conninfo  # only where there is a URL: it costs 20 MB and a moment

    try:
        found = conninfo.conninfo_to_dict(url)
    except ProgrammingError:
        remedy = f"Write {FORM}; what is special in a name or a password is written as %XX."
        raise errors.SettingsError("The URL of the ledger cannot be read.", remedy=remedy) from None
    return tuple((key, str(value)) for key, value in sorted(found.items()))


def _authority(host: str, port: str) -> str:
    shown = f"[{host}]" if ":" in host else quote(host, safe="")
    return f"{shown}:{port}" if port else shown

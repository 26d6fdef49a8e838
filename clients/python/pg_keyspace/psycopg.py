"""ulid in psycopg 3: values are Ulid, in text and in binary, in arrays and in COPY."""

import psycopg
from psycopg.adapt import Dumper, Loader
from psycopg.pq import Format
from psycopg.types import TypeInfo

from . import Ulid


def register(connection: psycopg.Connection, name: str = "ulid", *, missing_ok: bool = False) -> None:
    """Registers the type with a connection. If its schema is not in search_path, name it with the
    schema. With missing_ok, nothing happens if it does not exist (yet)."""
    _register(connection, TypeInfo.fetch(connection, name), name, missing_ok)


async def register_async(
    connection: psycopg.AsyncConnection, name: str = "ulid", *, missing_ok: bool = False
) -> None:
    _register(connection, await TypeInfo.fetch(connection, name), name, missing_ok)


def _register(connection, info: TypeInfo | None, name: str, missing_ok: bool) -> None:
    if info is None:
        if missing_ok:
            return
        raise psycopg.ProgrammingError(f'type "{name}" does not exist; is pg_keyspace in search_path?')
    info.register(connection)
    for dumper in [_Text, _Binary]:
        # The last one that is registered is preferred, unless a format is requested.
        connection.adapters.register_dumper(Ulid, type(dumper.__name__, (dumper,), {"oid": info.oid}))
    connection.adapters.register_loader(info.oid, _FromText)
    connection.adapters.register_loader(info.oid, _FromBinary)


class _Text(Dumper):
    format = Format.TEXT

    def dump(self, obj: Ulid) -> bytes:
        return obj.encode()


class _Binary(Dumper):
    format = Format.BINARY

    def dump(self, obj: Ulid) -> bytes:
        return obj.bytes


class _FromText(Loader):
    format = Format.TEXT

    def load(self, data) -> Ulid:
        return Ulid(bytes(data).decode())


class _FromBinary(Loader):
    format = Format.BINARY

    def load(self, data) -> Ulid:
        return Ulid(bytes(data))

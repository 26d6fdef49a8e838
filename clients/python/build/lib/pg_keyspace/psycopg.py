"""ulid in psycopg 3: values are Ulid, in text and in binary, in arrays and in COPY."""

import psycopg
from psycopg.adapt import Dumper, Loader
from psycopg.pq import Format
from psycopg.rows import tuple_row
from psycopg.types import TypeInfo

from . import _FIND_TYPE, _NOT_FOUND, Ulid


def register(connection: psycopg.Connection, *, missing_ok: bool = False) -> bool:
    """Registers the type of the extension with a connection. With missing_ok, it returns False if the
    extension does not exist (yet)."""
    # This leaves the connection idle, or in its transaction, as it was.
    with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
        found = cursor.execute(_FIND_TYPE).fetchone()
    return _register(connection, found, missing_ok)


async def register_async(connection: psycopg.AsyncConnection, *, missing_ok: bool = False) -> bool:
    """The same for an AsyncConnection."""
    async with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
        found = await (await cursor.execute(_FIND_TYPE)).fetchone()
    return _register(connection, found, missing_ok)


def _register(connection, found: tuple | None, missing_ok: bool) -> bool:
    if found is None:
        if missing_ok:
            return False
        raise psycopg.ProgrammingError(_NOT_FOUND)
    oid, array_oid, _schema = found
    TypeInfo("ulid", oid, array_oid).register(connection)
    for dumper in [_Text, _Binary]:
        # The last one that is registered is preferred, unless a format is requested.
        connection.adapters.register_dumper(Ulid, type(dumper.__name__, (dumper,), {"oid": oid}))
    connection.adapters.register_loader(oid, _FromText)
    connection.adapters.register_loader(oid, _FromBinary)
    return True


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

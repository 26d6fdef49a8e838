"""ulid in psycopg 2: values are Ulid, arrays are lists."""

import psycopg2
from psycopg2 import extensions

from . import Ulid


def register(connection, name: str = "ulid", *, missing_ok: bool = False) -> None:
    """Registers the type with a connection. If its schema is not in search_path, name it with the
    schema. With missing_ok, nothing happens if it does not exist (yet)."""
    was_idle = connection.info.transaction_status == extensions.TRANSACTION_STATUS_IDLE
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT oid, typarray, format_type(oid, NULL) FROM pg_type WHERE oid = to_regtype(%s)", (name,)
        )
        found = cursor.fetchone()
    if was_idle and not connection.autocommit:
        connection.rollback()
    if found is None:
        if missing_ok:
            return
        raise psycopg2.ProgrammingError(f'type "{name}" does not exist; is pg_keyspace in search_path?')
    oid, array_oid, type_name = found
    ulid = extensions.new_type((oid,), "ulid", lambda text, _: None if text is None else Ulid(text))
    extensions.register_type(ulid, connection)
    extensions.register_type(extensions.new_array_type((array_oid,), "ulid[]", ulid), connection)
    # psycopg 2 has adapters for a process, not for a connection. With the type written out, a list
    # becomes ulid[] and not text[].
    extensions.register_adapter(Ulid, lambda value: extensions.AsIs(f"'{value}'::{type_name}"))

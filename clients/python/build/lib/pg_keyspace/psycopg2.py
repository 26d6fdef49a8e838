"""ulid in psycopg 2: values are Ulid, arrays are lists."""

import weakref

import psycopg2
from psycopg2 import extensions

from . import _FIND_TYPE, _NOT_FOUND, Ulid

# The qualified name of the type in the database of each connection.
_TYPE_NAMES = weakref.WeakKeyDictionary()


def register(connection, *, missing_ok: bool = False) -> bool:
    """Registers the type of the extension with a connection. With missing_ok, it returns False if the
    extension does not exist (yet)."""
    was_idle = connection.info.transaction_status == extensions.TRANSACTION_STATUS_IDLE
    # A class of its own: the connection can have one whose rows are not tuples.
    with connection.cursor(cursor_factory=extensions.cursor) as cursor:
        cursor.execute(_FIND_TYPE)
        found = cursor.fetchone()
    if was_idle and not connection.autocommit:
        connection.rollback()
    if found is None:
        if missing_ok:
            return False
        raise psycopg2.ProgrammingError(_NOT_FOUND)
    oid, array_oid, schema = found
    ulid = extensions.new_type((oid,), "ulid", lambda text, _: None if text is None else Ulid(text))
    extensions.register_type(ulid, connection)
    extensions.register_type(extensions.new_array_type((array_oid,), "ulid[]", ulid), connection)
    _TYPE_NAMES[connection] = f"{extensions.quote_ident(schema, connection)}.ulid"
    extensions.register_adapter(Ulid, _Adapter)
    return True


class _Adapter:
    """psycopg 2 has adapters for a process, not for a connection, so this one asks which it is for. With
    the type written out, a list becomes ulid[] and not text[]."""

    def __init__(self, value: Ulid):
        self._value = value
        self._cast = ""

    def prepare(self, connection) -> None:
        name = _TYPE_NAMES.get(connection)
        self._cast = f"::{name}" if name else ""

    def getquoted(self) -> str:
        # A Ulid has no character that would have to be escaped.
        return f"'{self._value}'{self._cast}"

    __str__ = getquoted

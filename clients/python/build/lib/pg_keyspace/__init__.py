"""The type ulid of pg_keyspace in Python. Each module of this package needs its driver only."""

import datetime
import secrets
import time
import uuid

# The type as a member of the extension, whatever its schema is: another type can have its name.
_FIND_TYPE = """
SELECT t.oid, t.typarray, n.nspname
FROM pg_catalog.pg_extension e
    JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
        AND d.refobjid = e.oid AND d.deptype = 'e' AND d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass
    JOIN pg_catalog.pg_type t ON t.oid = d.objid AND t.typname = 'ulid'
    JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE e.extname = 'pg_keyspace'
"""
_NOT_FOUND = "the extension pg_keyspace does not exist in this database"

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)} | {"I": 1, "L": 1, "O": 0}


class Ulid(str):
    """A ULID: a string of 26 upper-case characters that has been checked. It sorts as the key does,
    and is text for json, forms and drivers that do not know the type."""

    __slots__ = ()

    def __new__(cls, value: "str | uuid.UUID | bytes") -> "Ulid":
        if isinstance(value, Ulid):
            return value
        if isinstance(value, uuid.UUID):
            return cls._of_int(value.int)
        if isinstance(value, (bytes, bytearray, memoryview)):
            if len(value) != 16:
                raise ValueError("a ULID has 16 bytes")
            return cls._of_int(int.from_bytes(value, "big"))
        text = value.upper().translate(_SIMILAR) if value.isascii() else ""
        if len(text) != 26 or text[0] > "7" or not _VALUES.keys() >= set(text):
            raise ValueError(f'invalid ULID: "{value}"')
        return super().__new__(cls, text)

    @classmethod
    def _of_int(cls, number: int) -> "Ulid":
        text = "".join(_ALPHABET[number >> 5 * at & 31] for at in reversed(range(26)))
        return super().__new__(cls, text)

    @property
    def uuid(self) -> uuid.UUID:
        """The same 128 bits."""
        number = 0
        for character in self:
            number = number << 5 | _VALUES[character]
        return uuid.UUID(int=number)

    @property
    def bytes(self) -> bytes:
        return self.uuid.bytes

    @property
    def datetime(self) -> datetime.datetime:
        """The instant, to the millisecond."""
        milliseconds = self.uuid.int >> 80
        return _EPOCH + datetime.timedelta(milliseconds=milliseconds)


_SIMILAR = str.maketrans("ILO", "110")
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def new_ulid() -> Ulid:
    """A ULID for the current time, as ulid() generates it, but in no order within a quarter of a
    microsecond."""
    return Ulid._of_int(_head() << 68 | secrets.randbits(68))


def new_uuidv7() -> uuid.UUID:
    """A UUID of version 7 for the current time, as uuidv7() generates it, but in no order within a
    quarter of a microsecond."""
    milliseconds, fraction = divmod(_head(), 4096)
    return uuid.UUID(int=milliseconds << 80 | 7 << 76 | fraction << 64 | 2 << 62 | secrets.randbits(62))


def _head() -> int:
    """The current time in 4096ths of a millisecond."""
    return time.time_ns() * 4096 // 1_000_000

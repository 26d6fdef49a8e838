"""Derives the same keys as pg_keyspace, without a server and without other packages.

The instant is the number of microseconds since 1970 (`unix_micros` of a datetime), because a
floating-point number cannot hold it. Keys of the type ulid are returned as text.
"""

import datetime
import functools
import hashlib
import uuid

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_WORD = (1 << 64) - 1
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def unix_micros(instant: datetime.datetime) -> int:
    """The instant of a datetime, which must have a time zone."""
    return (instant - _EPOCH) // datetime.timedelta(microseconds=1)


def uuidv7_from_timestamp(micros: int, id: int, salt: str = "") -> uuid.UUID:
    return _uuid(micros, _tail(micros, id, salt, 20))


def ulid_from_timestamp(micros: int, id: int, salt: str = "") -> str:
    return _ulid(micros, _tail(micros, id, salt, 26))


def uuidv7_from_timestamp_hashed(micros: int, value: int | uuid.UUID | str, salt: str = "") -> uuid.UUID:
    return _uuid(micros, _hash(micros, value, salt) >> 66)


def ulid_from_timestamp_hashed(micros: int, value: int | uuid.UUID | str, salt: str = "") -> str:
    return _ulid(micros, _hash(micros, value, salt) >> 60)


def _tail(micros: int, id: int, salt: str, tag_bits: int) -> int:
    if not 0 <= id < 1 << 42:
        raise ValueError("id is out of range for a derived key; use the hashed form")
    message = _instant(micros) + id.to_bytes(8, "big")
    tag = _siphash(_tag_key(salt), message, is_long=False) >> (64 - tag_bits)
    return id << tag_bits | tag


def _hash(micros: int, value: int | uuid.UUID | str, salt: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        content = b"\x01" + _instant(micros) + value.to_bytes(8, "big", signed=True)
    elif isinstance(value, uuid.UUID):
        content = b"\x02" + _instant(micros) + value.bytes
    # A subclass can stand for something else than its text, such as Ulid, and has to be converted.
    elif type(value) is str:
        content = b"\x03" + _instant(micros) + value.encode()
    else:
        raise TypeError(f"a value to be hashed is an int, a uuid.UUID or a str, not a {type(value).__name__}")
    return _siphash(_tag_key(salt), content, is_long=True)


def _instant(micros: int) -> bytes:
    if not 0 <= micros < 1000 << 48:
        raise ValueError("timestamp is out of range for a key")
    return micros.to_bytes(8, "big")


def _head(micros: int) -> tuple[int, int]:
    """Milliseconds, and the fraction of a millisecond in 4096ths."""
    return micros // 1000, micros % 1000 * 4096 // 1000


def _uuid(micros: int, tail: int) -> uuid.UUID:
    milliseconds, fraction = _head(micros)
    return uuid.UUID(int=milliseconds << 80 | 7 << 76 | fraction << 64 | 2 << 62 | tail)


def _ulid(micros: int, tail: int) -> str:
    milliseconds, fraction = _head(micros)
    number = (milliseconds << 12 | fraction) << 68 | tail
    return "".join(_ALPHABET[number >> 5 * at & 31] for at in reversed(range(26)))


@functools.lru_cache(maxsize=64)
def _tag_key(salt: str) -> bytes:
    return hashlib.sha256(b"pg_keyspace derived key v1\0" + salt.encode()).digest()[:16]


def _siphash(key: bytes, message: bytes, is_long: bool) -> int:
    """SipHash-2-4 of 64 bits, or of 128 bits with the first output word in the upper half."""
    k0, k1 = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")
    v0, v1 = k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D
    v2, v3 = k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573
    if is_long:
        v1 ^= 0xEE

    def rounds(count: int) -> None:
        nonlocal v0, v1, v2, v3
        for _ in range(count):
            v0 = v0 + v1 & _WORD
            v1 = _rotated(v1, 13) ^ v0
            v0 = _rotated(v0, 32)
            v2 = v2 + v3 & _WORD
            v3 = _rotated(v3, 16) ^ v2
            v0 = v0 + v3 & _WORD
            v3 = _rotated(v3, 21) ^ v0
            v2 = v2 + v1 & _WORD
            v1 = _rotated(v1, 17) ^ v2
            v2 = _rotated(v2, 32)

    padded = message + bytes(7 - len(message) % 8) + bytes([len(message) & 255])
    for at in range(0, len(padded), 8):
        word = int.from_bytes(padded[at:at + 8], "little")
        v3 ^= word
        rounds(2)
        v0 ^= word
    v2 ^= 0xEE if is_long else 0xFF
    rounds(4)
    first = v0 ^ v1 ^ v2 ^ v3
    if not is_long:
        return first
    v1 ^= 0xDD
    rounds(4)
    return first << 64 | v0 ^ v1 ^ v2 ^ v3


def _rotated(word: int, bits: int) -> int:
    return (word << bits | word >> 64 - bits) & _WORD

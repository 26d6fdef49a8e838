"""Prints undated_values.csv. It shares nothing with the crate: its own SipHash and its own layouts.

    python3 undated_values.py > undated_values.csv

First it computes hashed_keys.csv again, and stops if a key differs.
"""

import csv
import hashlib
import pathlib
import sys
import uuid

WORD = (1 << 64) - 1
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def rotated(word, bits):
    return ((word << bits) | (word >> (64 - bits))) & WORD


def siphash_2_4_128(key, data):
    """The two output words, from the paper and the reference implementation of SipHash."""
    k0, k1 = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:16], "little")
    v0, v1 = k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D ^ 0xEE
    v2, v3 = k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573

    def rounds(count):
        nonlocal v0, v1, v2, v3
        for _ in range(count):
            v0 = (v0 + v1) & WORD
            v1 = rotated(v1, 13) ^ v0
            v0 = rotated(v0, 32)
            v2 = (v2 + v3) & WORD
            v3 = rotated(v3, 16) ^ v2
            v0 = (v0 + v3) & WORD
            v3 = rotated(v3, 21) ^ v0
            v2 = (v2 + v1) & WORD
            v1 = rotated(v1, 17) ^ v2
            v2 = rotated(v2, 32)

    whole = len(data) - len(data) % 8
    words = [int.from_bytes(data[at:at + 8], "little") for at in range(0, whole, 8)]
    words.append(int.from_bytes(data[whole:], "little") | (len(data) & 0xFF) << 56)
    for word in words:
        v3 ^= word
        rounds(2)
        v0 ^= word
    v2 ^= 0xEE
    rounds(4)
    first = v0 ^ v1 ^ v2 ^ v3
    v1 ^= 0xDD
    rounds(4)
    return first, v0 ^ v1 ^ v2 ^ v3


def key_of(kind, micros, of, value, salt):
    tag, content = {
        "bigint": lambda: (1, int(value).to_bytes(8, "big", signed=True)),
        "uuid": lambda: (2, uuid.UUID(value).bytes),
        "text": lambda: (3, value.encode()),
    }[of]()
    tag_key = hashlib.sha256(b"pg_keyspace derived key v1\0" + salt.encode()).digest()
    first, second = siphash_2_4_128(tag_key, bytes([tag]) + micros.to_bytes(8, "big") + content)
    hashed = first << 64 | second
    milliseconds, fraction = micros // 1000, micros % 1000 * 4096 // 1000
    if kind == "uuid":
        head = milliseconds << 80 | 7 << 76 | fraction << 64
        return str(uuid.UUID(int=head | 2 << 62 | hashed >> 66))
    number = (milliseconds << 12 | fraction) << 68 | hashed >> 60
    return "".join(ALPHABET[number >> 5 * at & 31] for at in reversed(range(26)))


def main():
    known = pathlib.Path(__file__).with_name("hashed_keys.csv")
    with known.open(encoding="utf-8", newline="") as lines:
        for line in csv.DictReader(lines):
            of = (line["kind"], int(line["unix_micros"]), line["type"], line["value"], line["salt"])
            if key_of(*of) != line["key"]:
                sys.exit(f"another key for {line}")
    uuids = [
        "00000000-0000-0000-0000-000000000000",
        "00000000-0000-0000-0000-000000000001",
        "919108f7-52d1-4320-9bac-f847db4148a8",
        "c232ab00-9414-11ec-b3c8-9f6bdeced846",
        "017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
    ] + [str(uuid.UUID(int=1 << bit)) for bit in range(3, 128, 17)]
    texts = [
        "", "a", "A", "a ", " a", "1", "01", "-1", uuids[0], "cus_4fdAW5ftNQow1a", "it's", '"quoted"',
        "back\\slash", "Öl", "O\u0308l", "注文番号", "🙂", "x" * 255,
    ] + ["0123456789abcdefghijklmnopqrstuvwxyz"[:length] for length in range(5, 20)]
    print("kind,type,value,salt,key")
    for kind in ("uuid", "ulid"):
        for salt in ("", "public.orders", "注文"):
            for of, values in (("uuid", uuids), ("text", texts)):
                for value in values:
                    print(kind, of, value, salt, key_of(kind, 0, of, value, salt), sep=",")


if __name__ == "__main__":
    main()

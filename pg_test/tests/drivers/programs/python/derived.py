"""Compares the keys of clients/python with all vectors in the directory of the first argument."""

import csv
import datetime
import pathlib
import sys
import uuid

from pg_keyspace import Ulid, derived

FORMS = {
    "uuid": (derived.uuidv7_from_timestamp, derived.uuidv7_from_timestamp_hashed),
    "ulid": (derived.ulid_from_timestamp, derived.ulid_from_timestamp_hashed),
}


def key_of(line):
    with_id, hashed = FORMS[line["kind"]]
    micros, salt = int(line.get("unix_micros", 0)), line["salt"]
    if "id" not in line:
        read = {"bigint": int, "uuid": uuid.UUID, "text": str}[line["type"]]
        return hashed(micros, read(line["value"]), salt)
    id = int(line["id"])
    # A key migration hashes ids that do not fit.
    return (with_id if 0 <= id < 1 << 42 else hashed)(micros, id, salt)


def must_fail(function, *arguments):
    try:
        function(*arguments)
    except (TypeError, ValueError):
        return
    sys.exit(f"{function.__name__}{arguments} is not refused")


micros = derived.unix_micros(datetime.datetime(2023, 11, 14, 22, 13, 20, 123456, datetime.timezone.utc))
key = derived.uuidv7_from_timestamp(micros, 42, "public.orders")
assert key == uuid.UUID("018bcfe5-687b-774b-8000-000002ae822b")

checked = 0
for name in ["derived_keys", "hashed_keys", "undated_keys", "undated_values"]:
    path = pathlib.Path(sys.argv[1], f"{name}.csv")
    with path.open(encoding="utf-8", newline="") as lines:
        for line in csv.DictReader(lines, quoting=csv.QUOTE_NONE):
            if str(key_of(line)) != line["key"]:
                sys.exit(f"{name}: {key_of(line)} for {line}")
            checked += 1
for form in ["uuidv7_from_timestamp", "ulid_from_timestamp"]:
    for micros, id in [(-1, 0), (1000 << 48, 0), (0, -1), (0, 1 << 42)]:
        must_fail(getattr(derived, form), micros, id)
# A key of this package is not its text, and has to be converted.
key = Ulid("01ARZ3NDEKTSV4RRFFQ69G5FAV")
for wrong in [key, True, None, 1.5, b"text"]:
    must_fail(derived.ulid_from_timestamp_hashed, 0, wrong)
as_text, as_uuid = (derived.uuidv7_from_timestamp_hashed(0, value) for value in [str(key), key.uuid])
assert as_text != as_uuid
print(f"checked {checked} keys")

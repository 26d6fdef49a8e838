"""psycopg 3."""

import uuid

import psycopg
from pg_keyspace import Ulid, new_ulid
from pg_keyspace.psycopg import register

connection = psycopg.connect(autocommit=True)

# uuid needs nothing.
(view,) = connection.execute("INSERT INTO page_view (url) VALUES ('/') RETURNING id").fetchone()
assert isinstance(view, uuid.UUID)
assert connection.execute("SELECT id FROM page_view WHERE id = ANY(%s)", [[view]]).fetchall() == [(view,)]

# Without the lines: a key is text, which is good enough; an array is text, too, which is not.
(bare,) = connection.execute("INSERT INTO payment (amount) VALUES (1) RETURNING id").fetchone()
assert type(bare) is str and len(bare) == 26
assert connection.execute("SELECT amount FROM payment WHERE id = %s", [bare]).fetchone()[0] == 1
(array,) = connection.execute("SELECT ARRAY[id] FROM payment WHERE id = ANY(%s)", [[bare]]).fetchone()
assert array == "{" + bare + "}" and list(array)[0] == "{"
(raw,) = connection.cursor(binary=True).execute("SELECT id FROM payment").fetchone()
assert raw == Ulid(bare).bytes

# With them.
register(connection)
(key,) = connection.execute("INSERT INTO payment (amount) VALUES (%s) RETURNING id", [2]).fetchone()
(found,) = connection.execute("SELECT array_agg(id ORDER BY id) FROM payment WHERE id = ANY(%s)", [[Ulid(bare), key]]).fetchone()
assert found == [bare, key] and all(isinstance(id, Ulid) for id in found)

for binary in [False, True]:
    cursor = connection.cursor(binary=binary)
    for form in ["%s", "%t", "%b"]:
        (key, array) = cursor.execute(f"SELECT id, ARRAY[id] FROM payment WHERE id = {form}", [found[1]]).fetchone()
        assert isinstance(key, Ulid) and array == [key] == [found[1]]
        (array,) = cursor.execute(f"INSERT INTO payment (amount, refunds) VALUES (3, {form}) RETURNING refunds", [found]).fetchone()
        assert array == found
    assert cursor.execute("SELECT NULL::ulid").fetchone() == (None,)

cursor = connection.cursor()
cursor.executemany("INSERT INTO payment (amount) VALUES (%s) RETURNING id", [(4,), (5,)], returning=True)
keys = []
while True:
    keys.append(cursor.fetchone()[0])
    if not cursor.nextset():
        break
assert keys == sorted(keys) and len(set(keys)) == 2

with cursor.copy("COPY payment (id, amount) FROM STDIN (FORMAT binary)") as copy:
    copy.set_types(["ulid", "numeric"])
    for amount in range(1000):
        copy.write_row((new_ulid(), amount))
assert cursor.rowcount == 1000
# The server's default makes the keys if the column is left out.
with cursor.copy("COPY payment (amount) FROM STDIN") as copy:
    copy.write_row((6,))
with cursor.copy("COPY (SELECT id, refunds FROM payment WHERE amount = 3) TO STDOUT (FORMAT binary)") as copy:
    copy.set_types(["ulid", "ulid[]"])
    rows = list(copy.rows())
    assert rows[0][1] == found and isinstance(rows[0][0], Ulid)

# A uuid is no ulid without a cast.
(key,) = connection.execute("SELECT id FROM payment WHERE id = %s::ulid", [found[0].uuid]).fetchone()
assert key == found[0]

(id, shown) = connection.execute("INSERT INTO invoice (total) VALUES (1) RETURNING id, id::ulid").fetchone()
assert Ulid(id) == shown and shown.uuid == id
(id,) = connection.execute("SELECT id FROM invoice WHERE id = %s::ulid::uuid", [shown]).fetchone()
assert id == shown.uuid

for sql in ["INSERT INTO ticket (subject) VALUES ('a'), ('b') RETURNING no", "INSERT INTO item (name) VALUES ('a'), ('b') RETURNING id"]:
    ids = [id for (id,) in connection.execute(sql)]
    assert len(ids) == 2 and all(id % 2 == 0 for id in ids), ids

for wrong in ["", "8ZZZZZZZZZZZZZZZZZZZZZZZZZ", "01ARZ3NDEKTSV4RRFFQ69G5FAU", "01arz3ndektsv4rrffq69g5faV1", "01ARZ3NDEKTSV4RRFFQ69G5FAİ"]:
    try:
        Ulid(wrong)
    except ValueError:
        continue
    raise AssertionError(wrong)
assert Ulid("oiarz3ndektsv4rrffq69g5faL") == "01ARZ3NDEKTSV4RRFFQ69G5FA1"
(same,) = connection.execute("SELECT 'oiarz3ndektsv4rrffq69g5faL'::ulid").fetchone()
assert same == "01ARZ3NDEKTSV4RRFFQ69G5FA1"
(now,) = connection.execute("SELECT now() - ulid_to_timestamp(%s)", [new_ulid()]).fetchone()
assert abs(now.total_seconds()) < 10, now
assert abs((new_ulid().datetime - Ulid(new_ulid()).datetime).total_seconds()) < 1

# Another type of this name is not ours, even where search_path finds it first.
with psycopg.connect(options="-c search_path=decoy,public") as other:
    register(other)
    for binary in [False, True]:
        cursor = other.cursor(binary=binary)
        (key, array) = cursor.execute("SELECT id, ARRAY[id] FROM payment WHERE id = %s", [found[0]]).fetchone()
        assert array == [key] == [found[0]] and isinstance(key, Ulid)
        (theirs,) = cursor.execute("SELECT %s::decoy.ulid", [str(key.uuid)]).fetchone()
        assert not isinstance(theirs, Ulid), theirs

# Without the extension.
connection.execute("CREATE DATABASE psycopg_without")
with psycopg.connect(dbname="psycopg_without") as other:
    assert register(other, missing_ok=True) is False
    assert other.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    try:
        register(other)
    except psycopg.ProgrammingError as error:
        assert "pg_keyspace does not exist" in str(error)
    else:
        raise AssertionError("a type that does not exist is registered")

print("tested: psycopg", psycopg.__version__)

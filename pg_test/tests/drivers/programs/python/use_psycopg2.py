"""psycopg 2."""

import io
import uuid

import psycopg2
import psycopg2.extras
from pg_keyspace import Ulid, new_ulid
from pg_keyspace.psycopg2 import register

connection = psycopg2.connect("")
connection.autocommit = True
cursor = connection.cursor()


def rows(sql, parameters=()):
    cursor.execute(sql, parameters)
    return cursor.fetchall()


def refused(sql, parameters, error):
    try:
        rows(sql, parameters)
    except error:
        return
    raise AssertionError(f"{sql} is not refused")


# A uuid is text, and an array of uuid is text, too.
assert rows("SELECT ARRAY['00000000-0000-7000-8000-000000000000'::uuid]") == [("{00000000-0000-7000-8000-000000000000}",)]

# Without the lines: a key is text, an array is text, too, and a list of keys is text[].
[(bare,)] = rows("INSERT INTO payment (amount) VALUES (1) RETURNING id")
assert type(bare) is str
[(array,)] = rows("SELECT ARRAY[id] FROM payment WHERE id = %s", [bare])
assert array == "{" + bare + "}"
refused("SELECT id FROM payment WHERE id = ANY(%s)", [[bare]], psycopg2.errors.UndefinedFunction)
refused("UPDATE payment SET refunds = %s", [[bare]], psycopg2.errors.DatatypeMismatch)
assert rows("SELECT id FROM payment WHERE id = ANY(%s::ulid[])", [[bare]]) == [(bare,)]
assert rows("SELECT id FROM payment WHERE id IN %s", [(bare,)]) == [(bare,)]

# With them.
register(connection)
psycopg2.extras.register_uuid()
[(key, array)] = rows("SELECT id, ARRAY[id, NULL] FROM payment WHERE id = %s", [bare])
assert isinstance(key, Ulid) and array == [key, None]
assert rows("SELECT id FROM payment WHERE id = ANY(%s)", [[key]]) == [(key,)]
assert rows("UPDATE payment SET refunds = %s RETURNING refunds", [[key]]) == [([key],)]
assert rows("SELECT NULL::ulid") == [(None,)]
[(view,)] = rows("INSERT INTO page_view (url) VALUES ('/') RETURNING id")
assert isinstance(view, uuid.UUID)
assert rows("SELECT id FROM page_view WHERE id = ANY(%s)", [[view]]) == [(view,)]

keys = psycopg2.extras.execute_values(
    cursor, "INSERT INTO payment (amount) VALUES %s RETURNING id", [(amount,) for amount in range(300)], fetch=True
)
assert keys == sorted(keys) and len(set(keys)) == 300

lines = io.StringIO("".join(f"{new_ulid()}\t7\n" for _ in range(1000)))
cursor.copy_from(lines, "payment", columns=["id", "amount"])
assert cursor.rowcount == 1000

[(id, shown)] = rows("INSERT INTO invoice (total) VALUES (1) RETURNING id, id::ulid")
assert Ulid(id) == shown and shown.uuid == id

for sql in ["INSERT INTO ticket (subject) VALUES ('a'), ('b') RETURNING no", "INSERT INTO item (name) VALUES ('a'), ('b') RETURNING id"]:
    ids = [id for (id,) in rows(sql)]
    assert len(ids) == 2 and all(id % 2 == 0 for id in ids), ids

# Another type of this name is not ours, even where search_path finds it first.
other = psycopg2.connect("", options="-c search_path=decoy,public", cursor_factory=psycopg2.extras.RealDictCursor)
register(other)
assert other.info.transaction_status == psycopg2.extensions.TRANSACTION_STATUS_IDLE
with other.cursor() as found:
    found.execute("SELECT id, refunds FROM payment WHERE id = ANY(%s)", [[key]])
    row = found.fetchone()
    assert isinstance(row["id"], Ulid) and row == {"id": key, "refunds": [key]}, row
other.close()
# A connection that the type is not registered with sends a key as text.
with psycopg2.connect("") as bare_connection, bare_connection.cursor() as found:
    found.execute("SELECT %s", [key])
    assert found.fetchone() == (str(key),)

print("tested: psycopg2", psycopg2.__version__.split()[0])

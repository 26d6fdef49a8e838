"""asyncpg."""

import asyncio
import uuid

import asyncpg
from pg_keyspace import Ulid, new_ulid
from pg_keyspace.asyncpg import register


async def without_the_lines():
    connection = await asyncpg.connect()
    view = await connection.fetchval("INSERT INTO page_view (url) VALUES ('/') RETURNING id")
    assert isinstance(view, uuid.UUID)
    assert await connection.fetchval("SELECT id FROM page_view WHERE id = ANY($1)", [view]) == view

    # Text goes both ways, also in arrays.
    key = await connection.fetchval("INSERT INTO payment (amount) VALUES (1) RETURNING id")
    assert type(key) is str
    assert await connection.fetchval("SELECT ARRAY[id] FROM payment WHERE id = ANY($1)", [key]) == [key]
    # COPY has only the binary form.
    try:
        await connection.copy_records_to_table("payment", records=[(key, 1)], columns=["id", "amount"])
    except asyncpg.InternalClientError as error:
        assert "no binary format encoder for type ulid" in str(error)
    else:
        raise AssertionError("COPY needs the lines no longer")
    await connection.close()


async def with_them():
    pool = await asyncpg.create_pool(min_size=1, max_size=2, init=register)
    async with pool.acquire() as connection:
        key = await connection.fetchval("INSERT INTO payment (amount, refunds) VALUES ($1, $2) RETURNING id", 2, [new_ulid()])
        assert isinstance(key, Ulid)
        array = await connection.fetchval("SELECT ARRAY[id, NULL] FROM payment WHERE id = ANY($1)", [key])
        assert array == [key, None]
        assert await connection.fetchval("SELECT id FROM payment WHERE id = $1", key.uuid) == key

        keys = [new_ulid() for _ in range(1000)]
        await connection.copy_records_to_table("payment", records=[(key, 3, [key]) for key in keys], columns=["id", "amount", "refunds"])
        assert await connection.fetchval("SELECT array_agg(id ORDER BY id) FROM payment WHERE amount = 3") == sorted(keys)

        rows = await connection.fetchmany("INSERT INTO payment (amount) VALUES ($1) RETURNING id", [(4,), (5,)])
        assert len({row["id"] for row in rows}) == 2

        row = await connection.fetchrow("INSERT INTO invoice (total) VALUES (1) RETURNING id, id::ulid AS shown")
        assert row["shown"].bytes == row["id"].bytes

        for sql in ["INSERT INTO ticket (subject) VALUES ('a'), ('b') RETURNING no", "INSERT INTO item (name) VALUES ('a'), ('b') RETURNING id"]:
            ids = [row[0] for row in await connection.fetch(sql)]
            assert len(ids) == 2 and all(id % 2 == 0 for id in ids), ids
    await pool.close()


async def another_type():
    """Another type of this name is not ours, even where search_path finds it first."""
    connection = await asyncpg.connect(server_settings={"search_path": "decoy, public"})
    await register(connection)
    key = await connection.fetchval("SELECT id FROM payment LIMIT 1")
    assert isinstance(key, Ulid), key
    assert not isinstance(await connection.fetchval("SELECT $1::text::decoy.ulid", str(key.uuid)), Ulid)
    await connection.close()


asyncio.run(without_the_lines())
asyncio.run(with_them())
asyncio.run(another_type())
print("tested: asyncpg", asyncpg.__version__)

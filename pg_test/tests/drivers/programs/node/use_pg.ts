/** node-postgres. */
import assert from "node:assert/strict";
import { pipeline } from "node:stream/promises";
import { Readable } from "node:stream";
import pg from "pg";
import { from as copyFrom } from "pg-copy-streams";
import { register } from "./keyspace/pg";
import { NUMBERED, ULID, UUID, checkNumbers, checkOrder, run } from "./tested";

run("pg", async () => {
  const client = new pg.Client();
  await client.connect();
  const rows = async (sql: string, values: unknown[] = []) => (await client.query(sql, values)).rows;

  // uuid and ulid are text.
  const [view] = await rows("INSERT INTO page_view (url) VALUES ($1) RETURNING id", ["/"]);
  assert.match(view.id, UUID);
  assert.deepEqual(await rows("SELECT id FROM page_view WHERE id = ANY($1)", [[view.id]]), [view]);
  const payments = await rows("INSERT INTO payment (amount) VALUES (1), (2) RETURNING id");
  const keys = payments.map((payment) => payment.id);
  checkOrder(keys, ULID);
  assert.deepEqual(await rows("SELECT id FROM payment WHERE id = $1", [keys[0]]), [{ id: keys[0] }]);

  // Arrays are passed as they are, but are not read, until the type is registered.
  const [payment] = await rows("UPDATE payment SET refunds = $1 WHERE id = $2 RETURNING refunds", [keys, keys[0]]);
  assert.equal(payment.refunds, `{${keys.join(",")}}`);
  await register(client);
  const found = await rows("SELECT refunds FROM payment WHERE id = ANY($1) ORDER BY id", [keys]);
  assert.deepEqual(found, [{ refunds: keys }, { refunds: [] }]);
  assert.deepEqual(await rows("SELECT NULL::ulid AS id, ARRAY[NULL, $1::ulid] AS ids", [keys[0]]), [
    { id: null, ids: [null, keys[0]] },
  ]);

  // Many rows in one statement, with their keys in the order of the rows.
  const amounts = Array.from({ length: 1000 }, (_, at) => at);
  const many = await rows("INSERT INTO payment (amount) SELECT * FROM unnest($1::numeric[]) RETURNING id, amount", [amounts]);
  assert.deepEqual(many.map((row) => Number(row.amount)), amounts);
  checkOrder(many.map((row) => row.id), ULID);

  await pipeline(Readable.from(["7\n", "7\n"]), client.query(copyFrom("COPY payment (amount) FROM STDIN")));
  assert.equal((await rows("SELECT FROM payment WHERE amount = 7")).length, 3);

  const [invoice] = await rows("INSERT INTO invoice (total) VALUES (1) RETURNING id, id::ulid AS shown");
  assert.deepEqual(await rows("SELECT id FROM invoice WHERE id = $1::ulid::uuid", [invoice.shown]), [{ id: invoice.id }]);

  // In a pool, the hook is awaited before a connection is used.
  const pool = new pg.Pool({ onConnect: register });
  assert.deepEqual((await pool.query("SELECT refunds FROM payment WHERE id = $1", [keys[0]])).rows, [{ refunds: keys }]);
  await pool.end();

  // The parser belongs to the connection: in another database, another type can have the number.
  const bare = new pg.Client();
  await bare.connect();
  const [unread] = (await bare.query("SELECT refunds FROM payment WHERE id = $1", [keys[0]])).rows;
  assert.equal(unread.refunds, `{${keys.join(",")}}`);
  // Another type of this name is not ours, even where search_path finds it first.
  await bare.query("SET search_path = decoy, public");
  await register(bare);
  const [read] = (await bare.query("SELECT refunds FROM payment WHERE id = $1", [keys[0]])).rows;
  assert.deepEqual(read.refunds, keys);
  await bare.end();

  // A bigint is text, too.
  for (const sql of NUMBERED) checkNumbers(await rows(sql));
  await client.end();
});

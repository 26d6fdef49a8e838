/** postgres.js. */
import assert from "node:assert/strict";
import postgres from "postgres";
import { NUMBERED, ULID, UUID, checkNumbers, checkOrder, run } from "./tested";

run("postgres", async () => {
  const sql = postgres({ path: `${process.env.PGHOST}/.s.PGSQL.5432` });
  const [view] = await sql`INSERT INTO page_view (url) VALUES (${"/"}) RETURNING id`;
  assert.match(view!.id, UUID);
  const payments = await sql`INSERT INTO payment ${sql([{ amount: 1 }, { amount: 2 }])} RETURNING id`;
  const keys = payments.map((payment) => payment.id as string);
  checkOrder(keys, ULID);

  // Arrays work in both directions: it reads the catalog for arrays of all types when it connects.
  const byKey = sql`SELECT id FROM payment WHERE id = ANY(${keys}) ORDER BY id`;
  assert.deepEqual([...(await byKey)], payments.map(({ id }) => ({ id })));
  assert.equal((await sql`SELECT FROM payment WHERE id IN ${sql(keys)}`).length, 2);
  const [payment] = await sql`UPDATE payment SET refunds = ${keys} WHERE id = ${keys[0]!} RETURNING refunds`;
  assert.deepEqual(payment!.refunds, keys);

  // Its own, with arrays of every type.
  assert.deepEqual([...(await sql`SELECT ARRAY[NULL]::text[] AS a, ARRAY[NULL]::ulid[] AS b`)], [{ a: ["NULL"], b: ["NULL"] }]);

  const copy = await sql`COPY payment (amount) FROM STDIN`.writable();
  await new Promise((resolve, reject) => copy.on("finish", resolve).on("error", reject).end("7\n7\n"));
  assert.equal((await sql`SELECT FROM payment WHERE amount = 7`).length, 2);

  const [invoice] = await sql`INSERT INTO invoice (total) VALUES (1) RETURNING id, id::ulid AS shown`;
  assert.match(invoice!.shown, ULID);
  assert.deepEqual([...(await sql`SELECT id FROM invoice WHERE id = ${invoice!.shown}::ulid::uuid`)], [{ id: invoice!.id }]);
  for (const statement of NUMBERED) checkNumbers(await sql.unsafe(statement));
  await sql.end();
});

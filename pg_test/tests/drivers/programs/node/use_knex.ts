/** Knex. */
import assert from "node:assert/strict";
import knexOf from "knex";
import { register } from "./keyspace/pg";
import { NUMBERED, ULID, UUID, checkNumbers, checkOrder, run } from "./tested";

run("knex", async () => {
  const knex = knexOf({
    client: "pg",
    connection: { host: process.env.PGHOST, database: process.env.PGDATABASE, user: process.env.PGUSER },
    // Reads ulid[] as an array.
    pool: { afterCreate: (client: any, done: any) => register(client).then(() => done(null, client), done) },
  });
  await knex.schema.createTable("refund", (table) => {
    table.specificType("id", "ulid").primary().defaultTo(knex.raw("ulid()"));
    table.specificType("parts", "ulid[]").notNullable().defaultTo("{}");
    table.integer("number");
  });
  await knex.schema.createTable("visit", (table) => {
    table.uuid("id").primary().defaultTo(knex.raw("uuidv7()"));
    table.text("url");
  });
  const [visit] = await knex("visit").insert({ url: "/" }).returning("id");
  assert.match(visit.id, UUID);
  const rows = Array.from({ length: 1000 }, (_, number) => ({ number }));
  const made: { id: string; number: number }[] = await knex.batchInsert<any>("refund", rows, 300).returning(["id", "number"]);
  assert.deepEqual(made.map(({ number }) => ({ number })), rows);
  checkOrder(made.map(({ id }) => id), ULID);
  const keys = made.slice(0, 2).map(({ id }) => id);
  await knex("refund").where("id", keys[0]).update({ parts: keys });
  const found = await knex("refund").whereIn("id", keys).orderBy("id").select("parts");
  assert.deepEqual(found, [{ parts: keys }, { parts: [] }]);
  assert.deepEqual(await knex("refund").whereRaw("id = ANY(?)", [keys]).orderBy("id").pluck("id"), keys);
  for (const sql of NUMBERED) checkNumbers((await knex.raw(sql)).rows);
  await knex.destroy();
});

/** Drizzle, with node-postgres; drizzle-kit writes the statements. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { eq, inArray, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { complaints, refunds, visits } from "./drizzle_schema";
import { NUMBERED, ULID, UUID, checkNumbers, checkOrder, run } from "./tested";

run("drizzle-orm", async () => {
  const directory = mkdtempSync("drizzle-");
  const kit = ["generate", "--dialect", "postgresql", "--schema", "./drizzle_schema.ts", "--out", directory];
  const generate = () => execFileSync("../node_modules/.bin/drizzle-kit", kit, { encoding: "utf8" });
  generate();
  const [migration] = readdirSync(directory).filter((name) => name.endsWith(".sql"));
  const statements = readFileSync(join(directory, migration!), "utf8");
  assert(statements.includes('"id" "ulid" PRIMARY KEY DEFAULT ulid() NOT NULL'), statements);
  assert.match(generate(), /No schema changes/);

  const pool = new pg.Pool();
  const db = drizzle(pool);
  await db.execute(sql.raw(statements));
  const [visit] = await db.insert(visits).values({ url: "/" }).returning();
  assert.match(visit!.id, UUID);
  const made = await db.insert(refunds).values([{ note: "a" }, { note: "b" }]).returning();
  const keys = made.map((refund) => refund.id);
  checkOrder(keys, ULID);
  await db.update(refunds).set({ parts: keys }).where(eq(refunds.id, keys[0]!));
  const found = await db.select().from(refunds).where(inArray(refunds.id, keys)).orderBy(refunds.id);
  assert.deepEqual(found, [{ ...made[0], parts: keys }, made[1]]);
  const [complaint] = await db.insert(complaints).values({ refundId: keys[0]! }).returning();
  const joined = await db.select().from(complaints).innerJoin(refunds, eq(refunds.id, complaints.refundId));
  assert.deepEqual(joined, [{ complaints: complaint, refunds: found[0] }]);
  for (const statement of NUMBERED) checkNumbers((await db.execute(sql.raw(statement))).rows);
  await pool.end();
});

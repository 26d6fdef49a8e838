/**
 * The SQL that Prisma writes for its migrations, by its engine in WebAssembly. The engine of
 * `prisma migrate` is a program that Prisma downloads.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { PrismaPg } from "@prisma/adapter-pg";
import { bindMigrationAwareSqlAdapterFactory } from "@prisma/driver-adapter-utils";
import * as engine from "@prisma/schema-engine-wasm/schema_engine_bg";
import pg from "pg";
import { ULID, run } from "./tested";

const PACKAGE = "@prisma/schema-engine-wasm";

/** What the package does by itself where files in WebAssembly can be imported. */
async function load() {
  const file = readFileSync(`../node_modules/${PACKAGE}/schema_engine_bg.wasm`);
  const imports = { "./schema_engine_bg.js": engine as unknown as WebAssembly.ModuleImports };
  const { exports } = (await WebAssembly.instantiate(file, imports)).instance;
  (engine as unknown as { __wbg_set_wasm(exports: unknown): void }).__wbg_set_wasm(exports);
  (exports.__wbindgen_start as () => void)();
}

run(PACKAGE, async () => {
  await load();
  const config = { host: process.env.PGHOST, database: process.env.PGDATABASE, user: process.env.PGUSER };
  const adapter = bindMigrationAwareSqlAdapterFactory(new PrismaPg(config));
  const content = readFileSync("schema.prisma", "utf8");
  const migrations = await engine.SchemaEngine.new({ datamodels: [["schema.prisma", content]] }, () => {}, adapter);
  const { stdout } = await migrations.diff({
    from: { tag: "empty" },
    to: { tag: "schemaDatamodel", files: [{ path: "schema.prisma", content }] },
    script: true,
    exitCode: null,
    filters: { externalTables: [], externalEnums: [] },
  });
  const sql = stdout ?? "";
  assert(sql.includes('"id" UUID NOT NULL DEFAULT uuidv7()'), sql);
  // The trap: the server accepts this, and stores texts.
  const key = '"id" TEXT NOT NULL DEFAULT ulid()';
  assert(sql.includes(key) && sql.includes('"refunds" TEXT[]'), sql);

  const client = new pg.Client();
  await client.connect();
  const type = "SELECT format_type(atttypid, NULL) AS type FROM pg_attribute WHERE attrelid = 'payment'::regclass AND attname = 'id'";
  for (const [schema, statements, expected] of [
    ["as_it_is", sql, "text"],
    ["mended", sql.replace(key, '"id" ulid NOT NULL DEFAULT ulid()').replace("TEXT[]", "ulid[]"), "ulid"],
  ] as const) {
    await client.query(`CREATE SCHEMA ${schema}; SET search_path = ${schema}, public; ${statements}`);
    assert.equal((await client.query(type)).rows[0].type, expected);
    const { rows } = await client.query("INSERT INTO payment (amount, refunds) VALUES (1, '{}') RETURNING id::text");
    assert.match(rows[0].id, ULID);
  }
  await client.end();
});

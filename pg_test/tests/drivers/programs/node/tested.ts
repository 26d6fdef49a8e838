/** What the programs have in common. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

export const ULID = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/;
export const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** Rows of an interleaved sequence and of partitioned_nextval, in a database that is node 2 of 2. */
export const NUMBERED = [
  "INSERT INTO ticket (subject) VALUES ('a'), ('b') RETURNING no AS id",
  "INSERT INTO item (name) VALUES ('a'), ('b') RETURNING id",
];

export function checkNumbers(rows: readonly { id?: unknown }[]) {
  const ids = rows.map((row) => BigInt(row.id as string));
  assert(ids.length === 2 && ids.every((id) => id % 2n === 0n), String(ids));
}

/** Keys that ascend, each once. */
export function checkOrder(keys: readonly string[], pattern: RegExp) {
  for (const key of keys) assert.match(key, pattern);
  assert.deepEqual(keys, [...new Set(keys)].sort());
}

/** Runs a program, and prints which version it has tested. */
export function run(name: string, main: () => Promise<void>) {
  main().then(
    () => {
      const file = readFileSync(`../node_modules/${name}/package.json`, "utf8");
      console.log("tested:", name, JSON.parse(file).version);
    },
    (error) => {
      console.error(error);
      process.exit(1);
    },
  );
}

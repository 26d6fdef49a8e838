/** Compares the keys of clients/typescript with all vectors in the directory of the first argument. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as derived from "./keyspace/derived";

const forms = {
  uuid: [derived.uuidv7FromTimestamp, derived.uuidv7FromTimestampHashed],
  ulid: [derived.ulidFromTimestamp, derived.ulidFromTimestampHashed],
} as const;

function keyOf(line: Record<string, string>): string {
  const [withId, hashed] = forms[line.kind as "uuid" | "ulid"];
  const [micros, salt] = [BigInt(line.unix_micros ?? 0), line.salt!];
  if (line.id !== undefined) {
    const id = BigInt(line.id);
    // A key migration hashes ids that do not fit.
    return id >= 0n && id < 1n << 42n ? withId(micros, id, salt) : hashed(micros, id, salt);
  }
  const value = line.value!;
  return hashed(micros, line.type === "bigint" ? BigInt(value) : line.type === "uuid" ? { uuid: value } : value, salt);
}

function mustFail(call: () => string) {
  let key: string;
  try {
    key = call();
  } catch (error) {
    if (error instanceof RangeError) return;
    throw error;
  }
  throw new Error(`${call} is not refused, but gives ${key}`);
}

let checked = 0;
for (const name of ["derived_keys", "hashed_keys", "undated_keys", "undated_values"]) {
  const [columns, ...lines] = readFileSync(join(process.argv[2]!, `${name}.csv`), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => line.split(","));
  for (const fields of lines) {
    const line = Object.fromEntries(columns!.map((column, at) => [column, fields[at]!]));
    if (keyOf(line) !== line.key) throw new Error(`${name}: ${keyOf(line)} for ${fields}`);
    checked++;
  }
}
for (const form of [derived.uuidv7FromTimestamp, derived.ulidFromTimestamp]) {
  for (const [micros, id] of [[-1n, 0n], [1000n << 48n, 0n], [0n, -1n], [0n, 1n << 42n]] as const) {
    mustFail(() => form(micros, id));
  }
}
const uuid = "01563e3a-b5d3-d676-4c61-efb99302bd5b";
const known = derived.uuidv7FromTimestampHashed(0n, { uuid });
for (const same of [uuid.toUpperCase(), uuid.replaceAll("-", "")]) {
  if (derived.uuidv7FromTimestampHashed(0n, { uuid: same }) !== known) throw new Error(same);
}
for (const wrong of ["", "x", uuid.slice(1), `${uuid}0`, `${uuid}\n`, uuid.replace("a", "g"), "01ARZ3NDEKTSV4RRFFQ69G5FAV"]) {
  mustFail(() => derived.ulidFromTimestampHashed(0n, { uuid: wrong }));
}
console.log(`checked ${checked} keys`);

/**
 * Derives the same keys as pg_keyspace, without a server and without other packages.
 *
 * The instant is the number of microseconds since 1970 as a bigint, because a Date has only
 * milliseconds. In SQL it is (extract(epoch FROM created_at) * 1000000)::bigint. Keys are returned
 * as text.
 */
import { createHash } from "node:crypto";

/** A value to be hashed; text of a UUID is not the same as a UUID. */
export type Value = bigint | { uuid: string } | string;

const WORD = (1n << 64n) - 1n;
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

export function uuidv7FromTimestamp(micros: bigint, id: bigint, salt = ""): string {
  return uuid(micros, tail(micros, id, salt, 20n));
}

export function ulidFromTimestamp(micros: bigint, id: bigint, salt = ""): string {
  return ulid(micros, tail(micros, id, salt, 26n));
}

export function uuidv7FromTimestampHashed(micros: bigint, value: Value, salt = ""): string {
  return uuid(micros, hash(micros, value, salt) >> 66n);
}

export function ulidFromTimestampHashed(micros: bigint, value: Value, salt = ""): string {
  return ulid(micros, hash(micros, value, salt) >> 60n);
}

function tail(micros: bigint, id: bigint, salt: string, tagBits: bigint): bigint {
  if (id < 0n || id >= 1n << 42n) {
    throw new RangeError("id is out of range for a derived key; use the hashed form");
  }
  const message = Buffer.concat([instant(micros), int8(id)]);
  const tag = siphash(tagKey(salt), message, false) >> (64n - tagBits);
  return (id << tagBits) | tag;
}

function hash(micros: bigint, value: Value, salt: string): bigint {
  const [type, content] =
    typeof value === "bigint"
      ? [1, int8(value)]
      : typeof value === "string"
        ? [3, Buffer.from(value, "utf8")]
        : [2, uuidBytes(value.uuid)];
  return siphash(tagKey(salt), Buffer.concat([Buffer.of(type), instant(micros), content]), true);
}

function uuidBytes(text: string): Buffer {
  if (!/^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i.test(text)) {
    // Buffer.from() would end at the first character that is no digit.
    throw new RangeError(`invalid UUID: "${text}"`);
  }
  return Buffer.from(text.replaceAll("-", ""), "hex");
}

function instant(micros: bigint): Buffer {
  if (micros < 0n || micros >= 1000n << 48n) {
    throw new RangeError("timestamp is out of range for a key");
  }
  return int8(micros);
}

function int8(number: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(number);
  return bytes;
}

/** Milliseconds, and the fraction of a millisecond in 4096ths. */
function head(micros: bigint): [bigint, bigint] {
  return [micros / 1000n, ((micros % 1000n) * 4096n) / 1000n];
}

function uuid(micros: bigint, tail: bigint): string {
  const [milliseconds, fraction] = head(micros);
  const number = (milliseconds << 80n) | (7n << 76n) | (fraction << 64n) | (2n << 62n) | tail;
  const hex = number.toString(16).padStart(32, "0");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

function ulid(micros: bigint, tail: bigint): string {
  const [milliseconds, fraction] = head(micros);
  const number = (((milliseconds << 12n) | fraction) << 68n) | tail;
  let text = "";
  for (let shift = 125n; shift >= 0n; shift -= 5n) {
    text += ALPHABET[Number((number >> shift) & 31n)];
  }
  return text;
}

const tagKeys = new Map<string, Buffer>();

function tagKey(salt: string): Buffer {
  let key = tagKeys.get(salt);
  if (key === undefined) {
    key = createHash("sha256").update(`pg_keyspace derived key v1\0${salt}`, "utf8").digest().subarray(0, 16);
    tagKeys.set(salt, key);
  }
  return key;
}

/** SipHash-2-4 of 64 bits, or of 128 bits with the first output word in the upper half. */
function siphash(key: Buffer, message: Buffer, isLong: boolean): bigint {
  const [k0, k1] = [key.readBigUInt64LE(0), key.readBigUInt64LE(8)];
  let [v0, v1] = [k0 ^ 0x736f6d6570736575n, k1 ^ 0x646f72616e646f6dn];
  let [v2, v3] = [k0 ^ 0x6c7967656e657261n, k1 ^ 0x7465646279746573n];
  if (isLong) v1 ^= 0xeen;
  const rotated = (word: bigint, bits: bigint) => ((word << bits) | (word >> (64n - bits))) & WORD;
  const rounds = (count: number) => {
    for (let round = 0; round < count; round++) {
      v0 = (v0 + v1) & WORD;
      v1 = rotated(v1, 13n) ^ v0;
      v0 = rotated(v0, 32n);
      v2 = (v2 + v3) & WORD;
      v3 = rotated(v3, 16n) ^ v2;
      v0 = (v0 + v3) & WORD;
      v3 = rotated(v3, 21n) ^ v0;
      v2 = (v2 + v1) & WORD;
      v1 = rotated(v1, 17n) ^ v2;
      v2 = rotated(v2, 32n);
    }
  };
  const padding = Buffer.alloc(8 - (message.length % 8));
  padding[padding.length - 1] = message.length & 255;
  const padded = Buffer.concat([message, padding]);
  for (let at = 0; at < padded.length; at += 8) {
    const word = padded.readBigUInt64LE(at);
    v3 ^= word;
    rounds(2);
    v0 ^= word;
  }
  v2 ^= isLong ? 0xeen : 0xffn;
  rounds(4);
  const first = v0 ^ v1 ^ v2 ^ v3;
  if (!isLong) return first;
  v1 ^= 0xddn;
  rounds(4);
  return (first << 64n) | (v0 ^ v1 ^ v2 ^ v3);
}

/** ulid in Drizzle; values are texts. */
import { sql } from "drizzle-orm";
import { customType } from "drizzle-orm/pg-core";

export const ulid = customType<{ data: string }>({ dataType: () => "ulid" });

/** For .default(): the server generates the key. */
export const newUlid = sql`ulid()`;
export const newUuidv7 = sql`uuidv7()`;

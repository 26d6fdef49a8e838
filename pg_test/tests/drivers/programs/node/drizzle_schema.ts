import { sql } from "drizzle-orm";
import { pgTable, text, uuid } from "drizzle-orm/pg-core";
import { newUlid, newUuidv7, ulid } from "./keyspace/drizzle";

export const visits = pgTable("visits", {
  id: uuid().primaryKey().default(newUuidv7),
  url: text().notNull(),
});

export const refunds = pgTable("refunds", {
  id: ulid().primaryKey().default(newUlid),
  parts: ulid().array().notNull().default(sql`'{}'`),
  note: text(),
});

export const complaints = pgTable("complaints", {
  id: ulid().primaryKey().default(newUlid),
  refundId: ulid().references(() => refunds.id),
});

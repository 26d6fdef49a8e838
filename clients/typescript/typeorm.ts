/** ulid in TypeORM; values are texts. */
import type { DataSource, PrimaryColumnOptions } from "typeorm";

/** Makes TypeORM accept the type. Call it before initialize(). */
export function register(source: DataSource): void {
  const types = source.driver.supportedDataTypes as string[];
  if (!types.includes("ulid")) types.push("ulid");
}

/** For @PrimaryColumn(): the server generates the key. */
export const newUlid: PrimaryColumnOptions = { type: "ulid" as "uuid", default: () => "ulid()" };
export const newUuidv7: PrimaryColumnOptions = { type: "uuid", default: () => "uuidv7()" };

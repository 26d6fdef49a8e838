/** ulid[] in node-postgres, and in what is built on it (Knex, Sequelize, TypeORM, Prisma). */
import pg from "pg";

// The type as a member of the extension, whatever its schema is: another type can have its name.
const ARRAY_TYPE = `
SELECT t.typarray
FROM pg_catalog.pg_extension e
    JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
        AND d.refobjid = e.oid AND d.deptype = 'e' AND d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass
    JOIN pg_catalog.pg_type t ON t.oid = d.objid AND t.typname = 'ulid'
WHERE e.extname = 'pg_keyspace'`;

// As text[] is read, whose number pg does not list.
const TEXT_ARRAY = 1009 as Parameters<typeof pg.types.getTypeParser>[0];

/**
 * Makes a connection read ulid[] as an array of texts; in a pool, pass it as onConnect. Without it, an
 * array is one text, "{01...}". A ulid itself is text without any of this.
 *
 * The number of the type belongs to a database, so the parser is one of the connection and not of the
 * process.
 */
export async function register(client: pg.ClientBase): Promise<void> {
  const found = await client.query<[number]>({ text: ARRAY_TYPE, rowMode: "array" });
  client.setTypeParser(arrayType(found.rows), pg.types.getTypeParser(TEXT_ARRAY));
}

function arrayType(rows: unknown[][]): number {
  if (rows.length === 0) throw new Error("the extension pg_keyspace does not exist in this database");
  return Number(rows[0]![0]);
}

/** What Prisma's adapter passes to a parser: the connection that the value comes from. */
type Adapter = {
  queryRaw(query: { sql: string; args: unknown[]; argTypes: never[] }): PromiseLike<{ rows: unknown[][] }>;
};

/**
 * A userDefinedTypeParser for an adapter of Prisma, which does not use the parsers of its connections:
 * reads ulid[] as an array.
 */
export function prismaParser(): (type: number, value: unknown, adapter: Adapter) => Promise<unknown> {
  let known: number | undefined;
  return async (type, value, adapter) => {
    if (typeof value !== "string") return value;
    known ??= arrayType((await adapter.queryRaw({ sql: ARRAY_TYPE, args: [], argTypes: [] })).rows);
    return type === known ? pg.types.getTypeParser(TEXT_ARRAY)(value) : value;
  };
}

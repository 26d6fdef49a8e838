/** ulid[] in node-postgres, and in what is built on it (Knex, Drizzle, Sequelize, TypeORM). */
import pg from "pg";

/**
 * Reads ulid[] as an array of texts, in this process. Without it, an array is one text, "{01...}".
 * A ulid itself is text without any of this. If the schema of the type is not in search_path, name
 * it with the schema.
 */
export async function register(client: { query: pg.ClientBase["query"] }, name = "ulid"): Promise<void> {
  const found = await client.query("SELECT typarray FROM pg_type WHERE oid = to_regtype($1)", [name]);
  if (found.rows.length === 0) throw new Error(`type "${name}" does not exist; is pg_keyspace in search_path?`);
  // As text[] is read, whose number pg does not list.
  const textArray = 1009 as Parameters<typeof pg.types.getTypeParser>[0];
  pg.types.setTypeParser(found.rows[0].typarray, pg.types.getTypeParser(textArray));
}

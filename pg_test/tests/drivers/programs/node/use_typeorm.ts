/** TypeORM. */
import "reflect-metadata";
import assert from "node:assert/strict";
import { Column, DataSource, Entity, In, ManyToOne, PrimaryColumn, PrimaryGeneratedColumn } from "typeorm";
import { register as registerArrays } from "./keyspace/pg";
import { newUlid, newUuidv7, register } from "./keyspace/typeorm";
import { NUMBERED, ULID, UUID, checkNumbers, checkOrder, run } from "./tested";

@Entity()
class Visit {
  @PrimaryColumn(newUuidv7) id!: string;
  @Column("text") url!: string;
}

@Entity()
class Refund {
  @PrimaryColumn(newUlid) id!: string;
  @Column("ulid" as "uuid", { array: true, default: [] }) parts!: string[];
}

@Entity()
class Complaint {
  @PrimaryColumn(newUlid) id!: string;
  @ManyToOne(() => Refund) refund!: Refund | null;
}

/** The trap: TypeORM has its own idea of the default. */
@Entity("visit")
class GeneratedVisit {
  @PrimaryGeneratedColumn("uuid") id!: string;
  @Column("text") url!: string;
}

/** A table whose key moves later. */
@Entity()
class Parcel {
  @PrimaryGeneratedColumn("increment", { type: "bigint" }) id!: string;
}

function dataSource(entities: Function[]) {
  return new DataSource({
    type: "postgres",
    host: process.env.PGHOST,
    username: "postgres",
    database: process.env.PGDATABASE!,
    entities: entities as (new () => object)[],
    uuidExtension: "pgcrypto",
    installExtensions: false,
    // Reads ulid[] as an array.
    extra: { onConnect: registerArrays },
  });
}

const changes = async (source: DataSource) =>
  (await source.driver.createSchemaBuilder().log()).upQueries.map((query) => query.query);

run("typeorm", async () => {
  await assert.rejects(dataSource([Refund]).initialize(), /Data type "ulid".* is not supported/);

  const source = dataSource([Visit, Refund, Complaint, Parcel]);
  register(source);
  await source.initialize();
  await source.synchronize();
  assert.deepEqual(await changes(source), []);

  const visit = await source.getRepository(Visit).save({ url: "/" });
  assert.match(visit.id, UUID);
  const refunds = await source.getRepository(Refund).save([{}, {}, {}]);
  const keys = refunds.map((refund) => refund.id!);
  checkOrder(keys, ULID);
  const inserted = await source.getRepository(Refund).insert([{}, {}]);
  assert.equal(new Set(inserted.identifiers.map((identifier) => identifier.id)).size, 2);

  await source.getRepository(Refund).update(keys[0]!, { parts: keys });
  const found = await source.getRepository(Refund).find({ where: { id: In(keys) }, order: { id: "ASC" } });
  assert.deepEqual(found.map((refund) => refund.parts), [keys, [], []]);
  const { id } = await source.getRepository(Complaint).save({ refund: refunds[0]! });
  const complaint = await source.getRepository(Complaint).findOneOrFail({ where: { id }, relations: { refund: true } });
  assert.deepEqual(complaint.refund, found[0]);

  // The trap: it would drop the columns of a key migration.
  await source.query("SELECT key_migration_create('parcel', without_timestamp => true, move_primary_key => true)");
  await source.query("CALL key_migration_advance('parcel', through => 'prepared')");
  assert.deepEqual(await changes(source), ['ALTER TABLE "parcel" DROP COLUMN "id_new"']);

  for (const sql of NUMBERED) checkNumbers(await source.query(sql));

  const generated = await dataSource([GeneratedVisit]).initialize();
  const change = 'ALTER TABLE "visit" ALTER COLUMN "id"';
  assert.deepEqual(await changes(generated), [`${change} SET DEFAULT gen_random_uuid()`, `${change} DROP DEFAULT`]);
  await generated.destroy();
  await source.destroy();
});

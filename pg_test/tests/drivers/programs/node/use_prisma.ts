/** Prisma's client, with its adapter for node-postgres. Migrations need an engine that is downloaded. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { PrismaPg } from "@prisma/adapter-pg";
import { prismaParser } from "./keyspace/pg";
import { NUMBERED, ULID, UUID, checkNumbers, checkOrder, run } from "./tested";

run("prisma", async () => {
  // The client needs no engine; naming one keeps Prisma from downloading it.
  const environment = { ...process.env, PRISMA_SCHEMA_ENGINE_BINARY: "/bin/true" };
  execFileSync("../node_modules/.bin/prisma", ["generate"], { env: environment, stdio: "pipe" });
  const { PrismaClient } = await import("./generated/client");
  const config = { host: process.env.PGHOST, database: process.env.PGDATABASE, user: process.env.PGUSER, max: 1 };
  const adapter = new PrismaPg(config, { userDefinedTypeParser: prismaParser() });
  const prisma = new PrismaClient({ adapter });

  const views = await prisma.pageView.createManyAndReturn({ data: [{ url: "/a" }, { url: "/b" }] });
  checkOrder(views.map((view) => view.id), UUID);

  // A list of ulid[] is not read without the parser.
  const without = new PrismaClient({ adapter: new PrismaPg(config) });
  await assert.rejects(without.payment.create({ data: { amount: 1 } }), /map is not a function/);
  await without.$disconnect();
  await prisma.payment.deleteMany();

  const made = await prisma.payment.createManyAndReturn({ data: [{ amount: 1 }, { amount: 2 }] });
  const keys = made.map((payment) => payment.id);
  checkOrder(keys, ULID);
  assert.deepEqual(await prisma.payment.findUnique({ where: { id: keys[0]! } }), made[0]);
  assert.deepEqual(await prisma.payment.findMany({ where: { id: { in: keys } }, orderBy: { id: "asc" } }), made);
  assert.deepEqual(await prisma.payment.findMany({ where: { id: { gt: keys[0]! } } }), [made[1]]);
  const refunded = await prisma.payment.create({ data: { amount: 3, refunds: keys } });
  assert.deepEqual(refunded.refunds, keys);
  assert.deepEqual(await prisma.payment.findMany({ where: { refunds: { has: keys[1]! } } }), [refunded]);
  assert.deepEqual(await prisma.$queryRaw`SELECT refunds FROM payment WHERE id = ${refunded.id}::ulid`, [{ refunds: keys }]);

  // The parser asks the connection of the transaction, not another one of the pool, which has only one.
  const found = await new PrismaClient({ adapter: new PrismaPg(config, { userDefinedTypeParser: prismaParser() }) })
    .$transaction(async (transaction) => transaction.payment.findUnique({ where: { id: refunded.id } }));
  assert.deepEqual(found, refunded);

  const invoice = await prisma.invoice.create({ data: { total: 3 } });
  const [{ shown }] = await prisma.$queryRaw<[{ shown: string }]>`SELECT id::ulid AS shown FROM invoice`;
  assert.match(shown, ULID);
  assert.deepEqual(await prisma.$queryRaw`SELECT ${shown}::ulid::uuid::text AS id`, [{ id: invoice.id }]);
  for (const sql of NUMBERED) checkNumbers(await prisma.$queryRawUnsafe<{ id: unknown }[]>(sql));
  await prisma.$disconnect();
});

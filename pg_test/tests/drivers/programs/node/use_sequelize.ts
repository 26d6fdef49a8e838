/** Sequelize 6. */
import assert from "node:assert/strict";
import { DataTypes, Op, Sequelize, fn, literal } from "sequelize";
import { register } from "./keyspace/pg";
import { NUMBERED, ULID, UUID, checkNumbers, checkOrder, run } from "./tested";

run("sequelize", async () => {
  const sequelize = new Sequelize(process.env.PGDATABASE!, process.env.PGUSER!, "", {
    host: process.env.PGHOST,
    dialect: "postgres",
    logging: false,
    define: { timestamps: false },
  });
  // Reads ulid[] as an array.
  sequelize.addHook("afterConnect", (client: any) => register(client));

  const Visit = sequelize.define<any>("visit", {
    id: { type: DataTypes.UUID, primaryKey: true, defaultValue: fn("uuidv7") },
    url: DataTypes.TEXT,
  });
  const Refund = sequelize.define<any>("refund", {
    id: { type: "ulid", primaryKey: true, defaultValue: fn("ulid") },
    parts: { type: "ulid[]", allowNull: false, defaultValue: literal("'{}'") },
    number: DataTypes.INTEGER,
  });
  const Complaint = sequelize.define<any>("complaint", {
    id: { type: "ulid", primaryKey: true, defaultValue: fn("ulid") },
  });
  Complaint.belongsTo(Refund, { foreignKey: { name: "refundId", type: "ulid" } as any });
  await sequelize.sync();
  await sequelize.sync({ alter: true });

  const visit = await Visit.create({ url: "/" });
  assert.match(visit.id, UUID);
  const made = await Refund.bulkCreate([{ number: 0 }, { number: 1 }], { returning: true });
  const keys: string[] = made.map((refund: any) => refund.id);
  checkOrder(keys, ULID);
  await Refund.update({ parts: keys }, { where: { id: keys[0] } });
  assert.deepEqual((await Refund.findByPk(keys[0])).parts, keys);
  assert.equal(await Refund.count({ where: { id: keys } }), 2);
  assert.equal(await Refund.count({ where: { id: { [Op.gte]: keys[1] } } }), 1);
  await Complaint.create({ refundId: keys[0] });
  assert.equal((await Complaint.findOne({ include: Refund })).refund.id, keys[0]);
  for (const sql of NUMBERED) checkNumbers((await sequelize.query(sql))[0] as { id: unknown }[]);
  await sequelize.close();
});

"""SQLAlchemy 2 with each driver, and Alembic."""

import asyncio
import decimal
import uuid
import warnings

import alembic
import pg_keyspace
import sqlalchemy
from alembic.autogenerate import compare_metadata, produce_migrations, render_python_code
from alembic.migration import MigrationContext
from alembic.operations import Operations
from pg_keyspace import Ulid, new_ulid
from pg_keyspace.sqlalchemy import ULID, register
from sqlalchemy import ARRAY, BigInteger, Column, ForeignKey, MetaData, Table, Text, any_, create_engine, event, func, insert, inspect, select, text
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship
from sqlalchemy.types import NullType


class Base(DeclarativeBase):
    pass


class PageView(Base):
    __tablename__ = "page_view"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, server_default=func.uuidv7(monotonic=True))
    url: Mapped[str | None] = mapped_column(Text)


class Payment(Base):
    __tablename__ = "payment"
    id: Mapped[Ulid] = mapped_column(ULID, primary_key=True, server_default=func.ulid(monotonic=True))
    amount: Mapped[decimal.Decimal]
    refunds: Mapped[list[Ulid]] = mapped_column(ARRAY(ULID), server_default=text("'{}'"))


class Voucher(Base):
    """Its key is made by the application."""

    __tablename__ = "voucher"
    id: Mapped[Ulid] = mapped_column(ULID, primary_key=True, default=new_ulid, server_default=func.ulid())
    payment_id: Mapped[Ulid | None] = mapped_column(ForeignKey(Payment.id), index=True)
    payment: Mapped[Payment | None] = relationship()


class Slow(Base):
    """The server makes the key, and nothing says that keys are in the order of rows."""

    __tablename__ = "slow"
    id: Mapped[Ulid] = mapped_column(ULID, primary_key=True, server_default=text("ulid()"))
    name: Mapped[str | None] = mapped_column(Text)


def with_engine(engine):
    register(engine)
    statements = []
    event.listen(engine, "before_cursor_execute", lambda _c, _cur, statement, *_: statements.append(statement))

    def inserts(session, objects):
        statements.clear()
        session.add_all(objects)
        session.flush()
        return sum(statement.startswith("INSERT") for statement in statements)

    Base.metadata.create_all(engine)
    with Session(engine) as session:
        views = [PageView(url=f"/{number}") for number in range(100)]
        assert inserts(session, views) == 1
        assert [view.id for view in views] == sorted(view.id for view in views)
        assert all(isinstance(view.id, uuid.UUID) for view in views)

        payments = [Payment(amount=number) for number in range(100)]
        # psycopg 2 and others batch the rows, because monotonic=True promises that keys ascend.
        assert inserts(session, payments) == 1
        assert all(isinstance(payment.id, Ulid) for payment in payments)
        stored = session.execute(select(Payment.id, Payment.amount).order_by(Payment.id)).all()
        assert [row.amount for row in stored] == list(range(100))
        assert {row.id: row.amount for row in stored} == {payment.id: payment.amount for payment in payments}

        assert inserts(session, [Voucher(payment=payment) for payment in payments]) == 1
        # The trap: a statement for each row.
        assert inserts(session, [Slow(name=str(number)) for number in range(100)]) == 100

        first, second = payments[0].id, payments[1].id
        payments[0].refunds = [first, second]
        session.commit()
        session.expire_all()
        assert session.get(Payment, first).refunds == [first, second]
        assert session.scalars(select(Payment).where(Payment.id.in_([first, second])).order_by(Payment.id)).all() == payments[:2]
        assert session.scalars(select(Payment.id).where(sqlalchemy.literal(first, ULID) == any_(Payment.refunds))).all() == [first]
        assert session.scalars(select(Payment.id).where(Payment.id == any_(sqlalchemy.literal([first, second], ARRAY(ULID)))).order_by(Payment.id)).all() == [first, second]
        assert session.scalar(select(Voucher.id).join(Payment).where(Payment.id == second)) is not None
        assert session.scalar(select(Payment.id).where(Payment.id == sqlalchemy.literal(second, ULID, literal_execute=True))) == second
        keys = session.scalars(insert(Payment).returning(Payment.id), [{"amount": 5}, {"amount": 6}]).all()
        assert len(set(keys)) == 2

        row = session.execute(text("INSERT INTO invoice (total) VALUES (1) RETURNING id, id::ulid AS shown")).one()
        assert Ulid(uuid.UUID(str(row.id))) == row.shown

        for table, column in [("ticket", "subject"), ("item", "name")]:
            reflected = Table(table, MetaData(), autoload_with=engine)
            ids = session.execute(insert(reflected).returning(*reflected.primary_key), [{column: "a"}, {column: "b"}]).scalars().all()
            assert len(ids) == 2 and all(id % 2 == 0 for id in ids), ids

    # Reflection knows the type, which would otherwise be NullType, with a warning.
    types = lambda: {column["name"]: column["type"] for column in inspect(engine).get_columns("payment")}
    assert isinstance(types()["id"], ULID) and isinstance(types()["refunds"].item_type, ULID), types()
    known = ischema_names.pop("ulid")
    with warnings.catch_warnings(record=True) as warned:
        assert isinstance(types()["id"], NullType)
    assert "Did not recognize type 'ulid'" in str(warned[0].message)
    ischema_names["ulid"] = known
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE page_view, payment, voucher, slow"))
    engine.dispose()


async def with_async_engine(engine):
    register(engine)
    async with AsyncSession(engine) as session:
        payments = [Payment(amount=number) for number in range(3)]
        session.add_all(payments)
        await session.flush()
        keys = [payment.id for payment in payments]
        payments[0].refunds = keys
        await session.commit()
        await session.refresh(payments[0])
        assert payments[0].refunds == keys and all(isinstance(id, Ulid) for id in payments[0].refunds)
    await engine.dispose()


def alembic_sees_no_difference(engine):
    """What autogenerate writes can be run, and afterwards it writes nothing."""

    def is_ours(_object, name, type_, reflected, compare_to):
        return type_ != "table" or not reflected or compare_to is not None

    with engine.begin() as connection:
        connection.execute(text("DROP TABLE voucher, slow"))
        context = MigrationContext.configure(
            connection, opts={"include_object": is_ours, "compare_server_default": True}
        )
        script = produce_migrations(context, Base.metadata)
        code = render_python_code(script.upgrade_ops, migration_context=context)
        assert "sa.Column('id', pg_keyspace.sqlalchemy.ULID(), server_default=sa.text('ulid()')" in code, code
        # As in a revision whose template imports pg_keyspace.sqlalchemy.
        names = {"op": Operations(context), "sa": sqlalchemy, "pg_keyspace": pg_keyspace}
        exec(f"def upgrade():\n    {code}\nupgrade()", names)
        assert inspect(connection).has_table("voucher")
        differences = compare_metadata(context, Base.metadata)
        assert not differences, differences


def alembic_evaluates_defaults(engine):
    """It runs defaults that are not written as PostgreSQL prints them: keys always differ, and numbers
    are used up."""
    with engine.begin() as connection:
        connection.execute(
            text("CREATE TABLE drawn (id ulid DEFAULT ulid(), no bigint DEFAULT partitioned_nextval('ticket_no'))")
        )
        last_value = text("SELECT last_value FROM ticket_no")
        for id, no, differs in [
            ("public.ulid()", "partitioned_nextval('ticket_no')", True),
            ("ulid()", "partitioned_nextval('ticket_no'::regclass)", False),
        ]:
            metadata = MetaData()
            Table(
                "drawn",
                metadata,
                Column("id", ULID, server_default=text(id)),
                Column("no", BigInteger, server_default=text(no)),
            )
            before = connection.scalar(last_value)
            context = MigrationContext.configure(
                connection,
                opts={
                    "compare_server_default": True,
                    "include_object": lambda _object, name, type_, *_: type_ != "table" or name == "drawn",
                },
            )
            found = [(difference[0][0], difference[0][3]) for difference in compare_metadata(context, metadata)]
            assert found == ([("modify_default", "id"), ("modify_default", "no")] if differs else []), found
            assert (connection.scalar(last_value) > before) == differs


def alembic_and_a_key_migration(engine):
    """Until finalize, autogenerate drops the columns of the migration. Afterwards it finds nothing."""

    def differences(connection, key):
        metadata = MetaData()
        Table("orders", metadata, key, Column("amount", BigInteger))
        is_ours = lambda _object, name, type_, *_: type_ != "table" or name == "orders"
        context = MigrationContext.configure(connection, opts={"include_object": is_ours, "compare_server_default": True})
        found = compare_metadata(context, metadata)
        return [(difference[0], difference[3].name) for difference in found if difference[0] == "remove_column"] or found

    old = lambda: Column("id", BigInteger, primary_key=True)
    new = lambda: Column("id", ULID, primary_key=True, server_default=text("ulid()"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        run = lambda sql: connection.exec_driver_sql(sql)
        run("CREATE TABLE orders (id bigserial PRIMARY KEY, amount bigint)")
        run("INSERT INTO orders (amount) SELECT generate_series(1, 5)")
        run("SELECT key_migration_create('orders', target => 'ulid', without_timestamp => true, move_primary_key => true)")
        run("CALL key_migration_advance('orders', through => 'prepared')")
        assert differences(connection, old()) == [("remove_column", "id_new")]
        for statement in run("SELECT statement FROM key_migration_statements('orders')").scalars().all():
            run(statement)
        run("CALL key_migration_cutover('orders')")
        assert differences(connection, new()) == [("remove_column", "id_old")]
        run("CALL key_migration_finalize('orders', confirm => 'orders')")
        assert differences(connection, new()) == []
    engine.dispose()


drivers = ["psycopg", "psycopg2"]
for driver in drivers:
    with_engine(create_engine(f"postgresql+{driver}://"))
asyncio.run(with_async_engine(create_async_engine("postgresql+psycopg://")))
asyncio.run(with_async_engine(create_async_engine("postgresql+asyncpg://")))
alembic_sees_no_difference(create_engine("postgresql+psycopg://"))
alembic_evaluates_defaults(create_engine("postgresql+psycopg://"))
alembic_and_a_key_migration(create_engine("postgresql+psycopg://"))
print("tested: SQLAlchemy", sqlalchemy.__version__)
print("tested: Alembic", alembic.__version__)

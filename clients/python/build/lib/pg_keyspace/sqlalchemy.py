"""ulid in SQLAlchemy. Importing this module also makes reflection, and so Alembic's comparison, know
the type."""

from sqlalchemy import event, types
from sqlalchemy.dialects.postgresql.base import ischema_names

from . import Ulid


class ULID(types.UserDefinedType):
    """A column of type ulid. Values are Ulid; whatever Ulid() accepts can be assigned."""

    cache_ok = True
    # Parameters are sent as %(id)s::ulid, in arrays as %(ids)s::ulid[].
    render_bind_cast = True

    @property
    def python_type(self):
        return Ulid

    def get_col_spec(self, **_):
        return "ulid"

    def bind_processor(self, dialect):
        return lambda value: None if value is None else str(Ulid(value))

    def result_processor(self, dialect, coltype):
        return lambda value: None if value is None else Ulid(value)

    def literal_processor(self, dialect):
        return lambda value: f"'{Ulid(value)}'"


ischema_names["ulid"] = ULID


def register(engine) -> None:
    """Registers the type with each connection of an engine, which ARRAY(ULID) needs with psycopg and
    psycopg2. Call it before the engine connects."""
    engine = getattr(engine, "sync_engine", engine)

    @event.listens_for(engine, "connect")
    def connected(connection, _record):
        if engine.dialect.driver == "psycopg2":
            from .psycopg2 import register

            register(connection, missing_ok=True)
        elif engine.dialect.driver == "psycopg" and engine.dialect.is_async:
            from .psycopg import register_async

            connection.run_async(lambda driver: register_async(driver, missing_ok=True))
        elif engine.dialect.driver == "psycopg":
            from .psycopg import register

            register(connection, missing_ok=True)

"""ulid in asyncpg: values are Ulid, also in arrays and in COPY."""

from . import Ulid


async def register(connection, schema: str = "public") -> None:
    """Registers the type with a connection; asyncpg.create_pool(..., init=register) does it for each
    one. The schema is that of the extension."""
    await connection.set_type_codec(
        "ulid",
        schema=schema,
        encoder=lambda value: Ulid(value).bytes,
        decoder=lambda data: Ulid(bytes(data)),
        format="binary",
    )

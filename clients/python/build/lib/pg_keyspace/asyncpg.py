"""ulid in asyncpg: values are Ulid, also in arrays and in COPY."""

from . import _FIND_TYPE, _NOT_FOUND, Ulid


async def register(connection) -> None:
    """Registers the type of the extension with a connection; asyncpg.create_pool(..., init=register)
    does it for each one."""
    found = await connection.fetchrow(_FIND_TYPE)
    if found is None:
        raise LookupError(_NOT_FOUND)
    await connection.set_type_codec(
        "ulid",
        schema=found["nspname"],
        encoder=lambda value: Ulid(value).bytes,
        decoder=lambda data: Ulid(bytes(data)),
        format="binary",
    )

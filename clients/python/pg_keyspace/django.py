"""ulid in Django: a field, the function ulid() for db_default, and an app that registers the type
with each connection, which ArrayField needs. Add "pg_keyspace.django.KeyspaceConfig" to
INSTALLED_APPS."""

from django.apps import AppConfig
from django.core import exceptions
from django.db import models
from django.db.backends.signals import connection_created
from django.utils.translation import gettext_lazy as _

from . import Ulid


class KeyspaceConfig(AppConfig):
    name = "pg_keyspace"
    label = "pg_keyspace"

    def ready(self):
        connection_created.connect(_register, dispatch_uid="pg_keyspace")


def _register(sender, connection, **_kwargs):
    if connection.vendor != "postgresql":
        return
    from django.db.backends.postgresql.psycopg_any import is_psycopg3

    if is_psycopg3:
        from .psycopg import register
    else:
        from .psycopg2 import register
    # A migration may still have to create the extension.
    register(connection.connection, missing_ok=True)


class ULIDField(models.Field):
    description = _("ULID")
    default_error_messages = {"invalid": _("“%(value)s” is not a valid ULID.")}
    empty_strings_allowed = False

    def db_type(self, connection):
        return "ulid"

    def from_db_value(self, value, expression, connection):
        return None if value is None else Ulid(value)

    def to_python(self, value):
        if value is None:
            return None
        try:
            return Ulid(value)
        except (AttributeError, ValueError):
            raise exceptions.ValidationError(
                self.error_messages["invalid"], code="invalid", params={"value": value}
            ) from None

    def get_prep_value(self, value):
        value = super().get_prep_value(value)
        return value if value is None or hasattr(value, "resolve_expression") else self.to_python(value)

    def formfield(self, **kwargs):
        return super().formfield(**{"max_length": 26, **kwargs})


class NewULID(models.Func):
    """The function ulid(), for db_default."""

    function = "ulid"
    arity = 0
    output_field = ULIDField()


class NewUUIDv7(models.Func):
    """The function uuidv7(), for db_default."""

    function = "uuidv7"
    arity = 0
    output_field = models.UUIDField()

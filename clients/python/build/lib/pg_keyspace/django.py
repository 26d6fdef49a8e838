"""ulid in Django: a field, the function ulid() for db_default, and an app that registers the type
with each connection, which ArrayField needs. Add "pg_keyspace.django.KeyspaceConfig" to
INSTALLED_APPS."""

import re

from django import forms
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
    is_registered = _register_type(connection)
    # A migration still has to create the extension, on this very connection. The wrapper comes first,
    # because connection.execute_wrapper() removes the last one at its end.
    if not is_registered and _after_create_extension not in connection.execute_wrappers:
        connection.execute_wrappers.insert(0, _after_create_extension)


def _register_type(connection) -> bool:
    from django.db.backends.postgresql.psycopg_any import is_psycopg3

    if is_psycopg3:
        from .psycopg import register
    else:
        from .psycopg2 import register
    return register(connection.connection, missing_ok=True)


def _after_create_extension(execute, sql, params, many, context):
    result = execute(sql, params, many, context)
    if _CREATE_EXTENSION.search(str(sql)):
        _register_type(context["connection"])
    return result


_CREATE_EXTENSION = re.compile(r"\bCREATE\s+EXTENSION\b", re.IGNORECASE)


class ULIDFormField(forms.CharField):
    """What forms have for a ULIDField. An empty one is None."""

    default_error_messages = {"invalid": _("Enter a valid ULID.")}

    def __init__(self, **kwargs):
        super().__init__(**{"max_length": 26, "empty_value": None, **kwargs})

    def to_python(self, value):
        value = super().to_python(value)
        if value in self.empty_values:
            return None
        try:
            return Ulid(value)
        except ValueError:
            raise exceptions.ValidationError(self.error_messages["invalid"], code="invalid") from None


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
        return super().formfield(**{"form_class": ULIDFormField, **kwargs})


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

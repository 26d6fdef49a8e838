"""Django 5: the key of a table that exists moves, and a new database has it from the start. Each step is
a process of its own, because models and migrations change between them. The first argument is the
directory of the project."""

import os
import pathlib
import subprocess
import sys

STEPS = ["with the old key", "moves the key", "with the new key"]
if len(sys.argv) == 2:
    for step in STEPS:
        subprocess.run([sys.executable, *sys.argv, step], check=True)
    sys.exit()
directory, step = sys.argv[1:]

project = pathlib.Path(directory, "store")
(project / "migrations").mkdir(parents=True, exist_ok=True)
for name in ["__init__.py", "migrations/__init__.py"]:
    (project / name).touch()
KEYS = {STEPS[0]: "models.BigAutoField(primary_key=True)", STEPS[1]: "ULIDField(primary_key=True, db_default=NewULID())"}
if step in KEYS:
    (project / "models.py").write_text(
        f"""
from django.db import models
from pg_keyspace.django import NewULID, ULIDField


class Order(models.Model):
    id = {KEYS[step]}
    amount = models.IntegerField()


class Line(models.Model):
    order = models.ForeignKey(Order, models.CASCADE)
"""
    )
# The migration that has created the table, as it is changed at the cut-over.
CHANGED = """
import django.db.models.deletion
from django.contrib.postgres.operations import CreateExtension
from django.db import migrations, models
from pg_keyspace.django import NewULID, ULIDField


class Migration(migrations.Migration):
    initial = True
    operations = [
        CreateExtension("pg_keyspace"),
        migrations.CreateModel(
            name="Order",
            fields=[
                ("id", ULIDField(primary_key=True, db_default=NewULID(), serialize=False)),
                ("amount", models.IntegerField()),
            ],
        ),
        migrations.CreateModel(
            name="Line",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False, auto_created=True, verbose_name="ID")),
                ("order", models.ForeignKey("store.Order", django.db.models.deletion.CASCADE)),
            ],
        ),
    ]
"""
initial = project / "migrations/0001_initial.py"
if step == STEPS[1]:
    initial.write_text(CHANGED)

import django
from django.conf import settings

sys.path.insert(0, directory)
settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "NAME": os.environ["PGDATABASE"]}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["django.contrib.postgres", "pg_keyspace.django.KeyspaceConfig", "store"],
    USE_TZ=True,
)
django.setup()

from django.core.management import call_command
from django.db import connection
from django.test.utils import setup_databases, teardown_databases
from store.models import Line, Order


def run(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []


def use():
    line = Line.objects.create(order=Order.objects.create(amount=5))
    assert len(Line.objects.select_related("order").get(pk=line.pk).order.pk) == 26


if step == STEPS[0]:
    call_command("makemigrations", verbosity=0)
    assert "BigAutoField" in initial.read_text()
    call_command("migrate", verbosity=0)
    for amount in range(5):
        Line.objects.create(order=Order.objects.create(amount=amount))
elif step == STEPS[1]:
    run("SELECT key_migration_create('store_order', target => 'ulid', without_timestamp => true, move_primary_key => true)")
    for (statement,) in run("SELECT statement FROM key_migration_statements('store_order')"):
        run(statement)
    run("CALL key_migration_cutover('store_order')")
    call_command("makemigrations", check_changes=True, verbosity=0)
    use()
    run("CALL key_migration_finalize('store_order', confirm => 'store_order')")
    use()
    assert Line.objects.filter(order__amount__lt=5).count() == 5
else:
    call_command("migrate", verbosity=0)
    call_command("makemigrations", check_changes=True, verbosity=0)
    databases = setup_databases(verbosity=0, interactive=False)
    use()
    teardown_databases(databases, verbosity=0)
    print("tested: Django", django.__version__, "with a key that has moved")

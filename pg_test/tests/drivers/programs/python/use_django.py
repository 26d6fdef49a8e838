"""Django 5, with migrations in a project of its own below the directory of the first argument."""

import contextlib
import io
import os
import pathlib
import sys

import django
from django.conf import settings
from django.core.management import call_command

project = pathlib.Path(sys.argv[1], "shop")
(project / "migrations").mkdir(parents=True)
for name in ["__init__.py", "migrations/__init__.py"]:
    (project / name).touch()
project.joinpath("models.py").write_text(
    """
from django.contrib.postgres.fields import ArrayField
from django.db import models
from pg_keyspace import new_ulid
from pg_keyspace.django import NewULID, NewUUIDv7, ULIDField


class Visit(models.Model):
    id = models.UUIDField(primary_key=True, db_default=NewUUIDv7())
    url = models.TextField()


class Refund(models.Model):
    id = ULIDField(primary_key=True, default=new_ulid, db_default=NewULID())
    parts = ArrayField(ULIDField(), default=list)


class Complaint(models.Model):
    id = ULIDField(primary_key=True, db_default=NewULID())
    refund = models.ForeignKey(Refund, models.CASCADE, null=True)


class Letter(models.Model):
    number = models.BigIntegerField(db_default=models.Func(models.Value("letter_no"), function="partitioned_nextval"))


class Note(models.Model):
    about = ULIDField(null=True, blank=True)
"""
)
# The extension comes before the tables.
(project / "migrations/0001_extension.py").write_text(
    """
from django.contrib.postgres.operations import CreateExtension
from django.db import migrations


class Migration(migrations.Migration):
    operations = [CreateExtension("pg_keyspace")]
"""
)
(project / "migrations/0002_sequence.py").write_text(
    """
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("shop", "0001_extension")]
    operations = [migrations.RunSQL("CREATE SEQUENCE letter_no", "DROP SEQUENCE letter_no")]
"""
)
sys.path.insert(0, sys.argv[1])
settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "NAME": os.environ["PGDATABASE"], "OPTIONS": {}}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["django.contrib.postgres", "pg_keyspace.django.KeyspaceConfig", "shop"],
    USE_TZ=True,
)
django.setup()

from django import forms
from django.core.exceptions import ValidationError
from django.core.serializers import deserialize, serialize
from django.db import OperationalError, connection, models
from django.test.utils import setup_databases, teardown_databases
from pg_keyspace import Ulid, new_ulid
from shop.models import Complaint, Letter, Note, Refund, Visit


def command(*arguments, **options):
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        call_command(*arguments, verbosity=1, **options)
    return output.getvalue()


command("makemigrations")
written = "".join(path.read_text() for path in project.glob("migrations/0003*.py"))
assert "pg_keyspace.django.ULIDField(db_default=pg_keyspace.django.NewULID(), default=pg_keyspace.new_ulid, primary_key=True" in written, written
command("migrate")
# No migration is found a second time.
command("makemigrations", check_changes=True)
with connection.cursor() as cursor:
    cursor.execute("SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 'shop_refund'::regclass")
    assert cursor.fetchall() == [("ulid()",)]

# The server's default.
visit = Visit.objects.create(url="/")
visit.refresh_from_db()
assert visit.pk.version == 7
complaint = Complaint.objects.create()
assert isinstance(complaint.pk, Ulid), complaint.pk
assert Complaint.objects.get(pk=complaint.pk.lower()) == complaint
# The trap: after bulk_create the objects do not know their keys.
made = Complaint.objects.bulk_create([Complaint(), Complaint()])
assert not any(isinstance(complaint.pk, Ulid) for complaint in made)
assert Complaint.objects.count() == 3

# The application's default.
refunds = Refund.objects.bulk_create(Refund() for _ in range(100))
assert len({refund.pk for refund in refunds}) == 100
first, second = refunds[0], refunds[1]
first.parts = [first.pk, second.pk]
first.save()
first = Refund.objects.get(pk=first.pk)
assert first.parts == [first.pk, second.pk] and all(isinstance(part, Ulid) for part in first.parts)
assert Refund.objects.get(parts__contains=[second.pk]) == first
assert Refund.objects.filter(pk__in=[first.pk, second.pk]).count() == 2
assert Refund.objects.filter(pk__gte=first.pk).aggregate(models.Count("pk"))["pk__count"] >= 1
complaint.refund = second
complaint.save()
assert Complaint.objects.filter(refund__pk=second.pk).select_related("refund").get().refund == second
assert Refund.objects.filter(complaint=complaint).get() == second

for wrong in ["", "x", 5]:
    try:
        Complaint(pk=wrong).full_clean()
    except ValidationError:
        continue
    raise AssertionError(wrong)
# In a form, nothing is NULL, and a text that is no ULID is an error of its field.
NoteForm = forms.modelform_factory(Note, fields=["about"])
assert NoteForm({"about": ""}).save().about is None
note = NoteForm({"about": first.pk.lower()}).save()
assert Note.objects.get(about=first.pk) == note and isinstance(note.about, Ulid)
assert NoteForm({"about": "x"}).errors == {"about": ["Enter a valid ULID."]}
assert Note.objects.count() == 2

(again,) = deserialize("json", serialize("json", [first]))
assert again.object.pk == first.pk and again.object.parts == first.parts

with connection.cursor() as cursor:
    # psycopg's registration holds for cursors, too.
    cursor.execute("SELECT ARRAY[id] FROM shop_complaint WHERE id = %s", [complaint.pk])
    assert cursor.fetchone() == ([complaint.pk],)
    cursor.execute("SELECT FROM setup_interleaved_sequences(2, 2)")
letters = [Letter.objects.create() for _ in range(3)]
for letter in letters:
    letter.refresh_from_db()
assert all(letter.number % 2 == 0 and letter.pk % 2 == 0 for letter in letters)

# A database for tests is no node, until its connections say which one.
for options, number in [({}, None), ({"options": "-c pg_keyspace.node=1 -c pg_keyspace.nodes=2"}, 1)]:
    connection.settings_dict["OPTIONS"] = options
    databases = setup_databases(verbosity=0, interactive=False)
    # The extension was created on the connection that is in use.
    refund = Refund.objects.create(parts=[first.pk, second.pk])
    assert Refund.objects.get(pk=refund.pk).parts == [first.pk, second.pk]
    try:
        assert Letter.objects.create().number == number
    except OperationalError as error:
        assert number is None and error.__cause__.sqlstate == "55000", error
    teardown_databases(databases, verbosity=0)

# inspectdb does not know the type.
assert "id = models.TextField(primary_key=True)  # This field type is a guess." in command("inspectdb", "shop_complaint")

print("tested: Django", django.__version__)

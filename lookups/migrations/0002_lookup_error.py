from django.db import migrations, models


class Migration(migrations.Migration):
    """A column with a constant default in the database: no rewrite, and the code before it inserts as it did."""

    dependencies = [("lookups", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="lookup",
            name="error",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="Why the last question got no answer.",
                max_length=300,
            ),
        ),
    ]

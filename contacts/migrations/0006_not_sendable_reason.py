from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("contacts", "0005_one_index")]

    operations = [
        # A constant default: no row is rewritten, and what still runs the code before need not name it.
        migrations.AddField(
            model_name="contact",
            name="not_sendable_reason",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="Why it can't take a text message; empty: it can, or it was verified before this was kept.",
                max_length=16,
            ),
        )
    ]

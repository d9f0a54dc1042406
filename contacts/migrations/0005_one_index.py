"""The unique index gets the constraint's new name, and Django's index for LIKE goes: nothing is built anew."""

from django.db import migrations, models

_RENAME = """
DO $$
DECLARE
    found text;
BEGIN
    SELECT conname INTO STRICT found FROM pg_constraint
    WHERE conrelid = 'contacts_contact'::regclass AND contype = 'u';
    EXECUTE format('ALTER TABLE contacts_contact RENAME CONSTRAINT %I TO contact_phone_number', found);
    FOR found IN
        SELECT indexname FROM pg_indexes
        WHERE schemaname = current_schema() AND tablename = 'contacts_contact'
            AND indexname LIKE '%phone_number%_like'
    LOOP
        EXECUTE format('DROP INDEX %I', found);
    END LOOP;
END
$$
"""
_BACK = """
ALTER TABLE contacts_contact RENAME CONSTRAINT contact_phone_number TO contacts_contact_phone_number_key;
CREATE INDEX contacts_contact_phone_number_d530626e_like ON contacts_contact (phone_number text_pattern_ops);
"""


class Migration(migrations.Migration):
    dependencies = [("contacts", "0004_e164")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL([(_RENAME, None)], _BACK)],
            state_operations=[
                migrations.AlterField(
                    model_name="contact",
                    name="phone_number",
                    field=models.TextField(db_collation="C", help_text="E.164"),
                ),
                migrations.AddConstraint(
                    model_name="contact",
                    constraint=models.UniqueConstraint(fields=("phone_number",), name="contact_phone_number"),
                ),
            ],
        )
    ]

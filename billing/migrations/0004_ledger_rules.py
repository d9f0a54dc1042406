"""What the database itself sees to: the ledger is only appended to, and no result is stored without its charge."""

from django.db import migrations

CREATE = """
CREATE FUNCTION billing_ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only: add a refund or an adjustment';
END $$;
CREATE TRIGGER ledger_is_append_only BEFORE UPDATE OR DELETE ON billing_ledgerentry
    FOR EACH ROW EXECUTE FUNCTION billing_ledger_is_append_only();

CREATE FUNCTION billing_validation_is_charged() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM billing_ledgerentry WHERE validation_id = NEW.id) THEN
        RAISE EXCEPTION 'validation % has no charge', NEW.id;
    END IF;
    RETURN NULL;
END $$;
-- At the commit: the charge is inserted by the same statement, after the result.
CREATE CONSTRAINT TRIGGER validation_is_charged AFTER INSERT ON billing_validation
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_validation_is_charged();
"""
DROP = """
DROP TRIGGER validation_is_charged ON billing_validation;
DROP FUNCTION billing_validation_is_charged;
DROP TRIGGER ledger_is_append_only ON billing_ledgerentry;
DROP FUNCTION billing_ledger_is_append_only;
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0003_invoices")]
    operations = [migrations.RunSQL(CREATE, DROP)]

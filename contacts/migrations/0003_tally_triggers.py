"""Triggers that keep ListTally true, whoever writes memberships, and the tally of those that exist."""

from django.db import migrations

CREATE = """
ALTER TABLE contacts_listtally ADD CONSTRAINT contacts_listtally_of_list
    FOREIGN KEY (sending_list_id) REFERENCES contacts_sendinglist (id) ON DELETE CASCADE;

CREATE FUNCTION contacts_tally_memberships() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Of INSERT there is no old table, of DELETE no new one; a branch that is not taken is not planned.
    IF TG_OP = 'INSERT' THEN
        INSERT INTO contacts_listtally (sending_list_id, members, active)
        SELECT sending_list_id, count(*), count(*) FILTER (WHERE unsubscribed_at IS NULL)
        FROM new_rows GROUP BY sending_list_id;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO contacts_listtally (sending_list_id, members, active)
        SELECT old_rows.sending_list_id, -count(*), -count(*) FILTER (WHERE unsubscribed_at IS NULL)
        FROM old_rows
        -- Where the list itself is being deleted there is nothing left to count for.
        JOIN contacts_sendinglist AS list ON list.id = old_rows.sending_list_id
        GROUP BY old_rows.sending_list_id;
    ELSE
        INSERT INTO contacts_listtally (sending_list_id, members, active)
        SELECT sending_list_id, sum(member), sum(is_active) FROM (
            SELECT sending_list_id, 1 AS member, (unsubscribed_at IS NULL)::int AS is_active FROM new_rows
            UNION ALL
            SELECT sending_list_id, -1, -(unsubscribed_at IS NULL)::int FROM old_rows
        ) AS change
        GROUP BY sending_list_id HAVING sum(member) <> 0 OR sum(is_active) <> 0;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER contacts_tally_insert AFTER INSERT ON contacts_listcontact
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION contacts_tally_memberships();
CREATE TRIGGER contacts_tally_update AFTER UPDATE ON contacts_listcontact
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION contacts_tally_memberships();
CREATE TRIGGER contacts_tally_delete AFTER DELETE ON contacts_listcontact
    REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION contacts_tally_memberships();

INSERT INTO contacts_listtally (sending_list_id, members, active)
SELECT sending_list_id, count(*), count(*) FILTER (WHERE unsubscribed_at IS NULL)
FROM contacts_listcontact GROUP BY sending_list_id;
"""

DROP = """
ALTER TABLE contacts_listtally DROP CONSTRAINT contacts_listtally_of_list;
DROP TRIGGER contacts_tally_insert ON contacts_listcontact;
DROP TRIGGER contacts_tally_update ON contacts_listcontact;
DROP TRIGGER contacts_tally_delete ON contacts_listcontact;
DROP FUNCTION contacts_tally_memberships;
DELETE FROM contacts_listtally;
"""


class Migration(migrations.Migration):
    dependencies = [("contacts", "0002_contract")]
    operations = [migrations.RunSQL(CREATE, DROP)]

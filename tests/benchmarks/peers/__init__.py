"""What most teams would write instead: the same contacts into the same tables, by three other ways.

Served by a gunicorn and a Celery worker of their own, with the product's configuration and number of
processes. All check each number as the product does (contacts.phone, contacts.carriers.offline), and resolve
lists and journeys once per request.
"""

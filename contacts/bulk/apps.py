from django.apps import AppConfig


class BulkConfig(AppConfig):
    name = "contacts.bulk"
    label = "bulk"
    verbose_name = "Bulk jobs"

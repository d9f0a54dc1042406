from django.apps import AppConfig


class BulkConfig(AppConfig):
    name = "ingestion"
    label = "bulk"
    verbose_name = "Bulk jobs"

from django.apps import AppConfig


class LookupsConfig(AppConfig):
    name = "trackly.lookups"
    verbose_name = "Lookups"

from django.apps import AppConfig


class LeasesConfig(AppConfig):
    name = "core.leases"

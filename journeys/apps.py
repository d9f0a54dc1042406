from django.apps import AppConfig


class JourneysConfig(AppConfig):
    name = "journeys"
    verbose_name = "Welcome Journeys"

    def ready(self) -> None:
        from contacts.lists import register_uses
        from journeys.naming import naming

        register_uses("Journeys that name it", naming)

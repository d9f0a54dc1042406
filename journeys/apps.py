from django.apps import AppConfig


class JourneysConfig(AppConfig):
    name = "journeys"
    verbose_name = "Welcome Journeys"

    def ready(self) -> None:
        from contacts.lists import register_uses  # noqa: PLC0415 - models are loaded by now, not before
        from journeys.naming import naming  # noqa: PLC0415

        register_uses("Journeys that name it", naming)

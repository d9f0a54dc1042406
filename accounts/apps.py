import axes.apps
from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"
    label = "accounts"
    verbose_name = "Accounts"


class LoginSecurityConfig(axes.apps.AppConfig):  # type: ignore[misc] # django-axes ships no types
    """django-axes, by a name that says what it is for."""

    verbose_name = "Login security"

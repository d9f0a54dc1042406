from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "trackly.accounts"
    label = "accounts"
    verbose_name = "Accounts"

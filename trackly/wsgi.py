"""Django as a WSGI application; trackly.asgi serves it."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "trackly.settings")
application = get_wsgi_application()

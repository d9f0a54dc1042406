"""What the web server serves: Django's WSGI application, in threads (trackly.web)."""

from core.http.body import MAX_BODY_BYTES
from trackly.web.threaded import Threaded
from trackly.wsgi import application as _wsgi

application = Threaded(_wsgi, max_body=MAX_BODY_BYTES)

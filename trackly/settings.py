"""Settings, all from the environment (12-factor).

Any `X` may be given as `X_FILE`, a path whose contents are the value (Docker and Kubernetes secrets).
Where `DATABASE_URL` and the like are absent, those of a stack that runs in the state directory
(`TRACKLY_HOME`, `make up`) are used, so that `manage.py` and `celery -A trackly` meet the same servers.
docs/settings.md lists them all.
"""

import re
import sys
from datetime import time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import environ
import structlog
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static
from django.urls import reverse_lazy

from core.logs import mask_numbers

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.FileAwareEnv()
TRACKLY_HOME = Path(env.str("TRACKLY_HOME", default=str(BASE_DIR / ".trackly"))).resolve()
if (TRACKLY_HOME / "stack.env").is_file():
    env.read_env(TRACKLY_HOME / "stack.env")

# --- What kind of process this is -------------------------------------------------------------------

DEBUG = env.bool("DEBUG", default=False)
# The sandbox (contract, "Sandbox"): look-ups go to the stub on the loopback, never to a provider.
TRACKLY_SANDBOX = env.bool("TRACKLY_SANDBOX", default=False)
TRACKLY_SANDBOX_URL = env.str("TRACKLY_SANDBOX_URL", default="http://127.0.0.1:8099")

SECRET_KEY = env.str("SECRET_KEY", default="")
if not SECRET_KEY:
    raise ImproperlyConfigured(
        "SECRET_KEY (or SECRET_KEY_FILE) is not set. `make up` and `make servers` make one for their state "
        "directory; elsewhere give a long random string."
    )
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

# --- Access: TLS, proxies, sessions, logins -----------------------------------------------------------

# Off only where no TLS is in front: in the sandbox and in development.
TRACKLY_HTTPS = env.bool("TRACKLY_HTTPS", default=not (DEBUG or TRACKLY_SANDBOX))
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = TRACKLY_HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SECURE_HSTS_SECONDS = 31_536_000 if TRACKLY_HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = TRACKLY_HTTPS
# The proxy that ends TLS says so in headers, with the client's address: it must remove them from what clients
# send.
TRACKLY_BEHIND_PROXY = env.bool("TRACKLY_BEHIND_PROXY", default=False)
if TRACKLY_BEHIND_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
# Alpine, which the admin's theme uses, evaluates attributes; nothing of ours needs more than 'self'.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "script-src": ["'self'", "'unsafe-eval'"],
        "style-src": ["'self'", "'unsafe-inline'"],
        "img-src": ["'self'", "data:"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
}
# How many proxies in a row append to X-Forwarded-For: so the client's address is known by which logins are
# counted. Too many here: a client can choose its address; too few: all clients have a proxy's.
TRACKLY_TRUSTED_PROXIES = env.int("TRACKLY_TRUSTED_PROXIES", default=1 if TRACKLY_BEHIND_PROXY else 0)
# Passwords of one address that are checked in a minute (accounts.logins). 0: no limit.
TRACKLY_LOGIN_RATE = env.int("TRACKLY_LOGIN_RATE", default=30)
for _name in ("TRACKLY_TRUSTED_PROXIES", "TRACKLY_LOGIN_RATE"):
    if globals()[_name] < 0:
        raise ImproperlyConfigured(f"{_name} is {globals()[_name]}; it must be at least 0.")
# Five wrong passwords for one name from one address: that pair is locked out for a quarter of an hour.
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_CLIENT_IP_CALLABLE = "accounts.logins.client_address"
AXES_VERBOSE = False
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "accounts.logins.Backend",
]
# For /metrics: `Authorization: Bearer …`. Without it there are none.
TRACKLY_METRICS_TOKEN = env.str("TRACKLY_METRICS_TOKEN", default="")

# --- Ingestion --------------------------------------------------------------------------------------

# Contacts per task of the chord. 1 gives one task per contact; a batch of 1,000 in one slice is quickest.
TRACKLY_SLICE_SIZE = env.int("TRACKLY_SLICE_SIZE", default=1000)
# Contacts that need a live look-up travel in slices of this size: all of one slice are looked up at once.
TRACKLY_LIVE_SLICE_SIZE = env.int("TRACKLY_LIVE_SLICE_SIZE", default=25)
# Seconds a request waits for its result at most, before it is answered 202 (contract, "The answer").
TRACKLY_MAX_WAIT = env.float("TRACKLY_MAX_WAIT", default=30.0)
# Requests of one web process that may wait at the same time; keep it below trackly.web.threaded.THREADS.
TRACKLY_MAX_WAITERS = env.int("TRACKLY_MAX_WAITERS", default=12)
# Seconds for which a worker has a slice to itself; live look-ups renew it.
TRACKLY_SLICE_LEASE = env.float("TRACKLY_SLICE_LEASE", default=60.0)
# Seconds after which the sweep sends again a slice that no worker has begun, or finalizes a job left open.
TRACKLY_SWEEP_AFTER = env.float("TRACKLY_SWEEP_AFTER", default=10.0)
# Attempts at a slice that fail, before its contacts become internal_error.
TRACKLY_SLICE_ATTEMPTS = env.int("TRACKLY_SLICE_ATTEMPTS", default=4)

# Jobs of one account that are among the workers at a time; its others are queued, so that another account's
# job waits for few of them. No less than the workers' processes that one account may keep busy.
TRACKLY_JOBS_IN_FLIGHT = env.int("TRACKLY_JOBS_IN_FLIGHT", default=4)
# Bytes of a page or an export that a web process holds in memory at a time (core.http.spool).
TRACKLY_PAGE_MEMORY = env.int("TRACKLY_PAGE_MEMORY", default=262_144)
# Contacts that may wait for a worker, of all accounts and of one; beyond it requests are answered 503. 0: any
# number.
TRACKLY_MAX_BACKLOG = env.int("TRACKLY_MAX_BACKLOG", default=5_000_000)
TRACKLY_ACCOUNT_BACKLOG = env.int("TRACKLY_ACCOUNT_BACKLOG", default=1_000_000)

# --- Providers (contract, "Carrier validation", "Paid validation") ------------------------------------

# The sources that are asked, in this order, each if those before it gave no answer. `offline` is
# phonenumbers' metadata; it always answers, so it can only come last (contacts/carriers, lookups/sources).
TRACKLY_CARRIER = [name.strip() for name in env.list("TRACKLY_CARRIER", default=["offline"])]
TRACKLY_VALIDATION = [name.strip() for name in env.list("TRACKLY_VALIDATION", default=[])]
TRACKLY_DO_NOT_CALL = env.str("TRACKLY_DO_NOT_CALL", default="")
TWILIO_ACCOUNT_SID = env.str("TWILIO_ACCOUNT_SID", default="")
TWILIO_AUTH_TOKEN = env.str("TWILIO_AUTH_TOKEN", default="")
# With the SID of an API key, TWILIO_AUTH_TOKEN is that key's secret.
TWILIO_API_KEY = env.str("TWILIO_API_KEY", default="")
TWILIO_LOOKUPS_URL = env.str("TWILIO_LOOKUPS_URL", default="https://lookups.twilio.com")
# The Line Status package (a beta, at a price of its own) says what is in service.
TWILIO_LINE_STATUS = env.bool("TWILIO_LINE_STATUS", default=False)
TELNYX_API_KEY = env.str("TELNYX_API_KEY", default="")
TELNYX_URL = env.str("TELNYX_URL", default="https://api.telnyx.com")
REALPHONEVALIDATION_TOKEN = env.str("REALPHONEVALIDATION_TOKEN", default="")
REALPHONEVALIDATION_URL = env.str("REALPHONEVALIDATION_URL", default="https://api.realvalidation.com")
# Questions a second to each, of all workers together; 0: no limit. RealPhoneValidation asks for 10.
TRACKLY_RATES = {
    "twilio": env.float("TWILIO_RATE", default=0.0),
    "telnyx": env.float("TELNYX_RATE", default=0.0),
    "realphonevalidation": env.float("REALPHONEVALIDATION_RATE", default=10.0),
    "twilio_messages": env.float("TWILIO_MESSAGES_RATE", default=0.0),
}
# Days for which a carrier's answer is good, and seconds after which an unanswered number is asked about again
# (doubled each time, a day at most).
TRACKLY_CARRIER_TTL = env.float("TRACKLY_CARRIER_TTL", default=90.0)
TRACKLY_CARRIER_RECHECK = env.float("TRACKLY_CARRIER_RECHECK", default=300.0)
# Seconds for one try of a look-up over HTTP, how many may fail, and how many are under way in one process.
TRACKLY_LOOKUP_TIMEOUT = env.float("TRACKLY_LOOKUP_TIMEOUT", default=3.0)
TRACKLY_LOOKUP_TRIES = env.int("TRACKLY_LOOKUP_TRIES", default=3)
TRACKLY_LOOKUPS_IN_FLIGHT = env.int("TRACKLY_LOOKUPS_IN_FLIGHT", default=256)
# Different numbers in a row that a provider gives no answer for, before it is left alone; and for how many
# seconds.
TRACKLY_BREAKER_THRESHOLD = env.int("TRACKLY_BREAKER_THRESHOLD", default=10)
TRACKLY_BREAKER_PAUSE = env.float("TRACKLY_BREAKER_PAUSE", default=15.0)

# --- Welcome Journeys (journeys/) --------------------------------------------------------------------

# By which way messages leave: `log` sends nothing, `twilio` is Twilio's Messages API.
TRACKLY_MESSAGES = env.str("TRACKLY_MESSAGES", default="log")
TWILIO_MESSAGES_URL = env.str("TWILIO_MESSAGES_URL", default="https://api.twilio.com")
# Seconds for which the gateway is given time to take a message.
TRACKLY_MESSAGE_TIMEOUT = env.float("TRACKLY_MESSAGE_TIMEOUT", default=10.0)
# Seconds after which the gateway's list has every message that it has taken: what it does not have then may
# be sent again.
TRACKLY_CONFIRM_AFTER = env.float("TRACKLY_CONFIRM_AFTER", default=300.0)
# When no texts are sent, in the contact's time zone (the TCPA's hours: 47 CFR 64.1200(c)(1)); empty: never.
_QUIET_HOURS = env.str("TRACKLY_QUIET_HOURS", default="21:00-08:00")
try:
    TRACKLY_QUIET_HOURS = tuple(
        time.fromisoformat(at.strip()) for at in _QUIET_HOURS.split("-") if at.strip()
    )
except ValueError as exc:
    raise ImproperlyConfigured(f"TRACKLY_QUIET_HOURS: {exc}; it must be like 21:00-08:00, or empty.") from exc
if len(TRACKLY_QUIET_HOURS) not in (0, 2) or len(set(TRACKLY_QUIET_HOURS)) == 1:
    raise ImproperlyConfigured(
        f"TRACKLY_QUIET_HOURS is {_QUIET_HOURS!r}; it must be like 21:00-08:00, or empty."
    )
# Where contacts are of whose number that is not known.
TRACKLY_TIME_ZONE = env.str("TRACKLY_TIME_ZONE", default="America/New_York")
if TRACKLY_TIME_ZONE not in available_timezones():
    raise ImproperlyConfigured(f"TRACKLY_TIME_ZONE is {TRACKLY_TIME_ZONE!r}, which is no IANA time zone.")
# Enrollments that go on in one task (1: a task each), and seconds after which a claim expires.
TRACKLY_ADVANCE_SIZE = env.int("TRACKLY_ADVANCE_SIZE", default=200)
TRACKLY_ADVANCE_LEASE = env.float("TRACKLY_ADVANCE_LEASE", default=60.0)

# --- Stripe (billing/payments.py) ---------------------------------------------------------------------

STRIPE_API_KEY = env.str("STRIPE_API_KEY", default="")
STRIPE_WEBHOOK_SECRET = env.str("STRIPE_WEBHOOK_SECRET", default="")
STRIPE_URL = env.str("STRIPE_URL", default="https://api.stripe.com")

_LOCAL_HOST = re.compile(r"(?:[a-z0-9-]+\.|\.)?localhost|127(?:\.\d{1,3}){3}|\[::1\]", re.IGNORECASE)
_CREDENTIALS = {
    "stripe": ["STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET"],
    "twilio": ["TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"],
    "telnyx": ["TELNYX_API_KEY"],
    "realphonevalidation": ["REALPHONEVALIDATION_TOKEN"],
}
if TRACKLY_SANDBOX:
    # Its webhook secret is public and TLS is off: it is no service for other machines.
    if _open_to := [host for host in ALLOWED_HOSTS if not _LOCAL_HOST.fullmatch(host)]:
        raise ImproperlyConfigured(
            f"TRACKLY_SANDBOX is on and ALLOWED_HOSTS names {', '.join(_open_to)}: the sandbox serves this "
            "machine alone (localhost, 127.0.0.1, [::1]). Unset TRACKLY_SANDBOX, or name none but those."
        )
    if _given := [name for names in _CREDENTIALS.values() for name in names if globals()[name]]:
        raise ImproperlyConfigured(
            f"TRACKLY_SANDBOX is on and {', '.join(_given)} is set: unset one, the sandbox asks no provider."
        )
    # The very clients of production, at the stub; numbers that are not in its table are not asked about.
    TRACKLY_CARRIER, TRACKLY_VALIDATION, TRACKLY_DO_NOT_CALL = ["twilio"], ["telnyx"], "realphonevalidation"
    TWILIO_LOOKUPS_URL = TELNYX_URL = REALPHONEVALIDATION_URL = TRACKLY_SANDBOX_URL
    TWILIO_MESSAGES_URL = TRACKLY_SANDBOX_URL
    STRIPE_API_KEY, STRIPE_WEBHOOK_SECRET, STRIPE_URL = "sk_sandbox", "whsec_sandbox", TRACKLY_SANDBOX_URL
    TWILIO_ACCOUNT_SID = TWILIO_AUTH_TOKEN = TELNYX_API_KEY = REALPHONEVALIDATION_TOKEN = "sandbox"  # noqa: S105
    TRACKLY_RATES = dict.fromkeys(TRACKLY_RATES, 0.0)

_KNOWN_SOURCES: dict[str, tuple[list[str], list[str]]] = {
    "TRACKLY_CARRIER": (TRACKLY_CARRIER, ["twilio", "telnyx", "offline"]),
    "TRACKLY_VALIDATION": (TRACKLY_VALIDATION, ["twilio", "telnyx"]),
    "TRACKLY_MESSAGES": ([TRACKLY_MESSAGES], ["log", "twilio"]),
    "TRACKLY_DO_NOT_CALL": ([TRACKLY_DO_NOT_CALL] if TRACKLY_DO_NOT_CALL else [], ["realphonevalidation"]),
}
for _name, (_chosen, _possible) in _KNOWN_SOURCES.items():
    for _source in _chosen:
        if _source not in _possible:
            raise ImproperlyConfigured(f"{_name} names {_source!r}; there are {', '.join(_possible)}.")
        if _missing := [name for name in _CREDENTIALS.get(_source, []) if not globals()[name]]:
            raise ImproperlyConfigured(f"{_name} names {_source}, but {', '.join(_missing)} is not set.")
if STRIPE_API_KEY and not STRIPE_WEBHOOK_SECRET:
    raise ImproperlyConfigured(
        "STRIPE_API_KEY is set, but STRIPE_WEBHOOK_SECRET is not: payments would go unheard."
    )
if TRACKLY_MESSAGES == "twilio" and TRACKLY_CONFIRM_AFTER < 3 * TRACKLY_MESSAGE_TIMEOUT + 30:
    raise ImproperlyConfigured(
        f"TRACKLY_CONFIRM_AFTER is {TRACKLY_CONFIRM_AFTER:g}: what is still on its way would be sent twice."
    )
if not TRACKLY_CARRIER or "offline" in TRACKLY_CARRIER[:-1]:
    raise ImproperlyConfigured("TRACKLY_CARRIER must name a source, and `offline` only as its last one.")

for _name in (
    "TRACKLY_SLICE_SIZE",
    "TRACKLY_LIVE_SLICE_SIZE",
    "TRACKLY_SLICE_ATTEMPTS",
    "TRACKLY_JOBS_IN_FLIGHT",
    "TRACKLY_LOOKUP_TRIES",
    "TRACKLY_LOOKUPS_IN_FLIGHT",
    "TRACKLY_BREAKER_THRESHOLD",
    "TRACKLY_ADVANCE_SIZE",
    "TRACKLY_PAGE_MEMORY",
):
    if globals()[_name] < 1:
        raise ImproperlyConfigured(f"{_name} is {globals()[_name]}; it must be at least 1.")

# --- Django -----------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "trackly.ops",
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "accounts.apps.LoginSecurityConfig",
    "csp",
    "core.leases",
    "accounts.apps.AccountsConfig",
    "lookups",
    "contacts",
    "ingestion",
    "journeys",
    "billing",
]
MIDDLEWARE = [
    "core.http.middleware.request_id",
    "core.http.middleware.private",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "accounts.logins.Refusal",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "trackly.urls"
WSGI_APPLICATION = "trackly.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "trackly/templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False

# PostgreSQL >= 15. The pool keeps connections over requests and tasks, and a request that can't get one
# in time is told so (503) instead of hanging.
DATABASES: dict[str, dict[str, Any]] = {
    "default": env.db("DATABASE_URL", default="postgresql://127.0.0.1:5432/trackly")
}
if DATABASES["default"]["ENGINE"] != "django.db.backends.postgresql":
    raise ImproperlyConfigured("DATABASE_URL must name PostgreSQL: postgresql://user:password@host:port/name")
_SESSION_OPTIONS = env.str(
    "TRACKLY_DB_SESSION_OPTIONS",
    default="-c idle_in_transaction_session_timeout=15s -c lock_timeout=10s"
    " -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"
    " -c tcp_user_timeout=20s",
)
DATABASES["default"].update(
    CONN_HEALTH_CHECKS=True,
    OPTIONS={
        **DATABASES["default"].get("OPTIONS", {}),
        "connect_timeout": 5,
        # The server ends the transaction of a process that stands still or whose machine is gone, and with
        # it its locks. PgBouncer refuses such options at the start of a session: there, set
        # TRACKLY_DB_SESSION_OPTIONS to nothing and give them to the role (docs/capacity.md).
        **({"options": _SESSION_OPTIONS} if _SESSION_OPTIONS else {}),
        # A server that has vanished without closing the connection is noticed within half a minute, not after
        # two hours.
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
        "pool": {
            "min_size": 0,
            "max_size": env.int("TRACKLY_DB_POOL", default=16),
            "timeout": 5,
            # Then it gives up, and the next request tries at once: a pool's own pauses double, up to minutes.
            "reconnect_timeout": 10,
        },
    },
)

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "trackly/static"]
# In development and the sandbox files are served from the packages; elsewhere `collectstatic` has run.
WHITENOISE_USE_FINDERS = DEBUG or TRACKLY_SANDBOX
if not WHITENOISE_USE_FINDERS:
    STATIC_ROOT = BASE_DIR / "staticfiles"
    STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
    }

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": [
        "accounts.authentication.AccountMayAct",
        "accounts.authentication.KeyHasScope",
    ],
    "DEFAULT_RENDERER_CLASSES": ["core.http.renderers.MsgspecRenderer"],
    "DEFAULT_PARSER_CLASSES": [],  # bodies are read by core.http.body
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "core.http.renderers.AlwaysJson",
    "DEFAULT_METADATA_CLASS": None,  # OPTIONS is a method like others: 405
    "EXCEPTION_HANDLER": "core.http.errors.exception_handler",
    "DEFAULT_SCHEMA_CLASS": "trackly.api.openapi.WrittenOut",
    "UNAUTHENTICATED_USER": None,
    "UNAUTHENTICATED_TOKEN": None,
}
SPECTACULAR_SETTINGS = {
    "OAS_VERSION": "3.1.0",
    "TITLE": "Trackly contact ingestion",
    "VERSION": "2",
    "CONTACT": {"name": "Trackly support"},
    "LICENSE": {"name": "MIT", "identifier": "MIT"},
    "SERVERS": [{"url": "/", "description": "This server."}],
    "TAGS": [
        {
            "name": "Contacts",
            "description": "Send contacts in batches or one by one, read and unsubscribe them.",
        },
        {"name": "Jobs", "description": "Follow what became of a batch; retry and cancel it."},
        {"name": "Lists", "description": "The sending lists of the account."},
        {"name": "Usage", "description": "What paid validation costs."},
        {"name": "Service", "description": "About the API itself."},
    ],
    "SCHEMA_PATH_PREFIX": "/api/v2",
    "POSTPROCESSING_HOOKS": ["trackly.api.completion.complete"],
    "SORT_OPERATION_PARAMETERS": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {
        "persistAuthorization": True,
        "tryItOutEnabled": True,
        "displayRequestDuration": True,
        "defaultModelExpandDepth": 2,
    },
}
UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Trackly",
    "SITE_HEADER": "Trackly",
    "SITE_SYMBOL": "sms",
    "SITE_URL": reverse_lazy("admin:index"),
    # unfold's purple, but the shade of texts on dark pages: its own has too little contrast there.
    "COLORS": {"primary": {"500": "oklch(76% .16 305.504)"}},
    "STYLES": [lambda _: static("admin_kit/admin.css")],
    "SCRIPTS": [lambda _: static("admin_kit/admin.js")],
}

# --- Celery -----------------------------------------------------------------------------------------

REDIS_URL = env.str("REDIS_URL", default="redis://127.0.0.1:6379/0")
CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default=REDIS_URL)
CELERY_RESULT_BACKEND = f"core.celery.results:ChordBackend+{REDIS_URL}"
CELERY_TASK_DEFAULT_QUEUE = "ingest"
CELERY_TASK_ROUTES = {
    "contacts.bulk.tasks.settle": {"queue": "settle"},
    "contacts.bulk.tasks.sweep": {"queue": "settle"},
    "contacts.tasks.look_up_again": {"queue": "live"},
    "billing.tasks.month_end": {"queue": "live"},
    "journeys.tasks.tick": {"queue": "journeys"},
    "journeys.tasks.advance": {"queue": "journeys"},
    "journeys.tasks.send": {"queue": "messages"},
    "journeys.tasks.confirm": {"queue": "messages"},
}
# A worker without `-Q` takes all queues; from Redis the short ones first, from RabbitMQ in turns.
CELERY_TASK_QUEUES: dict[str, dict[str, str]] = {
    "settle": {},
    "ingest": {},
    "journeys": {},
    "messages": {},
    "live": {},
}
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_RETRY_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# KiB: a process of a worker that ever took more is replaced after its task. 0: never.
CELERY_WORKER_MAX_MEMORY_PER_CHILD = env.int("CELERY_WORKER_MAX_MEMORY_PER_CHILD", default=524_288)
CELERY_TASK_TIME_LIMIT = 300
CELERY_DB_REUSE_MAX = sys.maxsize  # trackly.celery hands connections back to the pool, and leaves it open
_TRANSPORTS: dict[str, dict[str, Any]] = {
    "redis": {
        # Far above the time limit (celery #5935: what runs longer than this runs twice at once).
        "visibility_timeout": 1800,
        "queue_order_strategy": "priority",
        "socket_connect_timeout": 2,
        "socket_timeout": 5,
        "socket_keepalive": True,
    },
    # A message is sent when RabbitMQ says that it has it; how long that may take: core.celery.broker.
    "amqp": {"confirm_publish": True},
}
_BROKERS = {"redis": "redis", "rediss": "redis", "amqp": "amqp", "amqps": "amqp"}
_SCHEME = CELERY_BROKER_URL.partition("://")[0]
if _SCHEME not in _BROKERS:
    raise ImproperlyConfigured(f"CELERY_BROKER_URL begins with {_SCHEME!r}; there are {', '.join(_BROKERS)}.")
CELERY_BROKER_TRANSPORT_OPTIONS = _TRANSPORTS[_BROKERS[_SCHEME]]
CELERY_BROKER_CONNECTION_TIMEOUT = 2
CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS = {
    "result_chord_ordered": False,
    "retry_policy": {"max_retries": 1, "interval_start": 0.1, "interval_max": 0.2},
}
CELERY_REDIS_SOCKET_CONNECT_TIMEOUT = 2
CELERY_REDIS_SOCKET_TIMEOUT = 5
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# A publisher gives up soon: the batch is in the database already and the sweep will send it.
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0.1, "interval_max": 0.2}
CELERY_RESULT_EXPIRES = 600
CELERY_RESULT_CHORD_EXPIRES = 3600
CELERY_TASK_STORE_ERRORS_EVEN_IF_IGNORED = False
# No `expires`: that is by beat's clock and the worker's, and where they differ all is dropped silently.
# What piles up while no worker runs finds that the work was done a moment ago (`every`, core.leases).
CELERY_BEAT_SCHEDULER = "core.celery.beat:Scheduler"
CELERY_BEAT_SCHEDULE = {
    "sweep": {"task": "contacts.bulk.tasks.sweep", "schedule": 5.0, "kwargs": {"every": 4}},
    "look-up-again": {"task": "contacts.tasks.look_up_again", "schedule": 10.0, "kwargs": {"every": 8}},
    "journeys": {"task": "journeys.tasks.tick", "schedule": 1.0, "kwargs": {"every": 0.5}},
    "month-end": {"task": "billing.tasks.month_end", "schedule": 600.0, "kwargs": {"every": 500}},
}

# --- Logs -------------------------------------------------------------------------------------------

# Tracebacks are plain in both: richer ones show local variables, and with them keys and phone numbers.
_RENDERERS: dict[str, list[Any]] = {
    "json": [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()],
    "console": [
        structlog.dev.ConsoleRenderer(
            colors=False, sort_keys=False, exception_formatter=structlog.dev.plain_traceback
        )
    ],
}
_LOG_FORMAT = env.str("LOG_FORMAT", default="console" if DEBUG or TRACKLY_SANDBOX else "json")
_LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
if _LOG_FORMAT not in _RENDERERS:
    raise ImproperlyConfigured(f"LOG_FORMAT is {_LOG_FORMAT!r}; it must be json or console.")
_PROCESSORS: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso"),
]
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "structlog": {
            "()": structlog.stdlib.ProcessorFormatter,
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_RENDERERS[_LOG_FORMAT],
                mask_numbers,
            ],
            "foreign_pre_chain": _PROCESSORS,
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structlog"}},
    "root": {"handlers": ["stderr"], "level": _LOG_LEVEL},
    "loggers": {
        "aiohttp": {"level": "WARNING"},
        "celery": {"level": "WARNING"},  # it would write two lines for each task
        "django.request": {"level": "ERROR"},  # what is refused stands in api_request
        "stripe": {"level": "WARNING"},
    },
}
if _LOG_FORMAT == "console" and _LOG_LEVEL != "DEBUG":
    # A person reads along: a line for each request and each job, but not for each slice and message.
    for _name in ("ingestion.logs.slices", "journeys.messages.gateways.log"):
        LOGGING["loggers"][_name] = {"level": "WARNING"}
structlog.configure(
    processors=[*_PROCESSORS, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)

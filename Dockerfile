# The product without the embedded servers: bring PostgreSQL >= 15 and Redis >= 6.2.
FROM python:3.13-slim AS build
WORKDIR /app
COPY requirements-production.lock .
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --require-hashes -r requirements-production.lock

FROM python:3.13-slim AS product
RUN useradd --system --no-create-home trackly
WORKDIR /app
COPY --from=build /venv /venv
COPY manage.py ./
COPY accounts accounts
COPY billing billing
COPY contacts contacts
COPY core core
COPY ingestion ingestion
COPY journeys journeys
COPY lookups lookups
COPY trackly trackly
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1
RUN SECRET_KEY=build python manage.py collectstatic --noinput
USER trackly
EXPOSE 8000
# SIGTERM lets the requests and tasks that run come to their end.
CMD ["gunicorn", "-c", "python:trackly.web.server", "-b", "0.0.0.0:8000", "trackly.asgi"]

# With the stub that the sandbox talks to: docker compose.
FROM product AS dev
COPY devstack devstack

FROM product

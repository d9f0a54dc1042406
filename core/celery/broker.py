"""RabbitMQ as Celery's broker: kombu's own transport, with a timeout of a few seconds for its answers.

Kombu's has no limit for the answer to a method (a declaration, the confirmation of a message): where RabbitMQ
has frozen, or takes nothing because its memory or disk runs short, a request would wait without end.
"""

from typing import Any, cast

from amqp.exceptions import RecoverableConnectionError
from kombu import transport
from kombu.transport import pyamqp

_ANSWER_SECONDS = 5.0


class _Hasty:
    def wait(self: Any, *args: Any, timeout: float | None = None, **kwargs: Any) -> Any:
        """Wait for the answer to a method. Raises RecoverableConnectionError after five seconds."""
        connection, channel = self.connection, cast("Any", super())
        try:
            return channel.wait(*args, timeout=timeout or _ANSWER_SECONDS, **kwargs)
        except TimeoutError as exc:
            connection.collect()  # an answer that comes late must not be taken for that to another message
            raise RecoverableConnectionError("The broker does not answer.") from exc


class _Channel(_Hasty, pyamqp.Channel):
    pass


class _Connection(_Hasty, pyamqp.Connection):
    Channel = _Channel


class Transport(pyamqp.Transport):
    """`amqp://`."""

    Connection = _Connection


class SSLTransport(pyamqp.SSLTransport):
    """`amqps://`."""

    Connection = _Connection


def use() -> None:
    """Have kombu use these for RabbitMQ's URLs, also for the others of a list of servers."""
    ours = {"amqp": "core.celery.broker:Transport", "amqps": "core.celery.broker:SSLTransport"}
    transport.TRANSPORT_ALIASES.update(ours)

"""The socket that connections come in by, before there is a web server and after."""

import socket

import pytest

from devstack.home import free_port
from devstack.stack import listen


def test_a_connection_made_before_there_is_a_web_server_does_not_delay_what_is_sent() -> None:
    port = free_port()
    with listen(port) as listener, socket.create_connection(("127.0.0.1", port)):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_port_that_another_program_listens_on_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(OSError, match="in use"):
        listen(other.getsockname()[1])

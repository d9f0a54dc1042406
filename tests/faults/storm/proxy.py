"""A proxy for TCP whose connections can be cut."""

import asyncio
import random
import socket
import struct
import threading
from contextlib import suppress

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: close at once, with a RST."""
_CHUNK = 1 << 16


class Proxy(threading.Thread):
    """Listens on a port of its own and passes everything on to another, until `stop()`."""

    def __init__(self, target: int) -> None:
        super().__init__(daemon=True)
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._lines: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._passes = asyncio.Event()
        self._passes.set()
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.start()

    def run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def cut(self, share: float, draw: random.Random) -> int:
        """Reset this share of the connections; how many there were."""
        lines = list(self._lines)
        chosen = draw.sample(lines, max(1, round(len(lines) * share))) if lines else []
        for line in chosen:
            self._loop.call_soon_threadsafe(_reset, line)
        return len(chosen)

    def silence(self) -> None:
        """Pass nothing on and close nothing, as where the machine behind it is gone."""
        self._loop.call_soon_threadsafe(self._passes.clear)

    def speak(self) -> None:
        """Pass on what has come in meanwhile, and what comes."""
        self._loop.call_soon_threadsafe(self._passes.set)

    def stop(self) -> None:
        """Reset all connections and listen no longer."""
        for line in list(self._lines):
            self._loop.call_soon_threadsafe(_reset, line)
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self.join()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        line = (writer, far_writer)
        self._lines.add(line)
        try:
            ways = [
                asyncio.create_task(self._pump(*way)) for way in ((reader, far_writer), (far_reader, writer))
            ]
            _, open_ways = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in open_ways:
                way.cancel()
        finally:
            self._lines.discard(line)
            for end in line:
                end.close()  # what was passed on leaves before

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK):
                await self._passes.wait()
                writer.write(data)
                await writer.drain()


def _reset(line: tuple[asyncio.StreamWriter, asyncio.StreamWriter]) -> None:
    for end in line:
        with suppress(OSError):
            end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        end.transport.abort()

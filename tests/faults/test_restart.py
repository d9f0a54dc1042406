"""A rolling restart, as `make restart` does it, while clients post batches."""

import threading
import time
from collections import Counter
from concurrent.futures import Future

import httpx

from devstack.stack import Stack
from tests.conftest import RunningStack
from tests.faults.killer import processes
from tests.support import Api, contact


class Client(threading.Thread):
    """Posts batches that it waits for, one after the other, each once more if the line breaks."""

    def __init__(self, api: Api, size: int, over: threading.Event) -> None:
        super().__init__()
        self.api, self.size, self.over = api, size, over
        self.ends: Counter[int] = Counter()
        self.retries = 0
        self.seconds: list[float] = []

    def run(self) -> None:
        while not self.over.is_set():
            began = time.monotonic()
            batch = [contact() for _ in range(self.size)]
            key = {"Idempotency-Key": f"restart-{id(self)}-{len(self.seconds)}"}
            try:
                response = self._post(batch, key)
            except httpx.TransportError:
                self.retries += 1
                response = self._post(batch, key)
            self.ends[response.status_code] += 1
            if response.status_code == 202:
                assert self.api.ended_job(response)["status"] == "completed"
            self.seconds.append(time.monotonic() - began)

    def _post(self, batch: list[dict[str, object]], key: dict[str, str]) -> httpx.Response:
        return self.api.post("/contacts/bulk", json={"contacts": batch}, headers=key)


def restart(stack: Stack, restarted: "Future[None]") -> None:
    try:
        stack.restart_product()
    except Exception as exc:  # noqa: BLE001 - whoever waits must be told
        restarted.set_exception(exc)
    else:
        restarted.set_result(None)


def test_a_restart_under_load_refuses_nothing_and_holds_nothing_up(stack: RunningStack) -> None:
    over = threading.Event()
    clients = [Client(stack.account(), size, over) for size in (1, 3, 100, 1_000)]
    before = processes(stack.stack.home)
    for client in clients:
        client.start()
    try:
        restarted = Future[None]()
        stack.stack.supervisor.ask(lambda: restart(stack.stack, restarted))
        restarted.result()
        after = processes(stack.stack.home)
    finally:
        over.set()
        for client in clients:
            client.join()
    ends = sum((client.ends for client in clients), Counter[int]())
    assert set(ends) <= {200, 202}
    assert sum(client.api.get("/jobs").json()["pagination"]["total"] for client in clients) == ends.total()
    counted = sum(client.size * client.ends.total() for client in clients)
    accounts = [client.api.account_id for client in clients]
    assert counted == stack.count(
        "SELECT count(*) FROM contacts_listcontact m JOIN contacts_sendinglist l ON l.id = m.sending_list_id"
        " WHERE l.account_id = ANY(%s)",
        accounts,
    )
    [stayed] = before & after
    assert "devstack.sandbox.server" in stayed.cmdline()
    assert len(after) == len(before)
    slowest = max(second for client in clients for second in client.seconds)
    retries = sum(client.retries for client in clients)
    print(f"{ends.total()} batches, {dict(ends)}, {retries} sent twice, the slowest took {slowest:.2f} s")  # noqa: T201 - shown with -s

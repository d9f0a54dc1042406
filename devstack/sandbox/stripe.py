"""A Stripe on the loopback: what billing.payments asks of https://docs.stripe.com/api, and no more.

Strict where mistakes cost money: a POST without an idempotency key is refused; a key that comes again is
answered as the first time, with other parameters 400, while the first is still under way 409
(https://docs.stripe.com/api/idempotent_requests); an invoice is paid once. Everything is forgotten at its
end; a customer that it does not know is one of before.
"""

import copy
import hashlib
import hmac
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

Form = Mapping[str, str]
Answer = tuple[int, dict[str, Any]]

_ALREADY = "This invoice can't be changed: it is {}."


class StripeError(Exception):
    """An error as Stripe's API answers it (https://docs.stripe.com/api/errors)."""

    def __init__(self, status: int, kind: str, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"type": kind, "message": message, "code": code}}


class Stripe:
    """Its objects, in memory. `declines`: all cards are; `declined`: these; `requests`: counted."""

    def __init__(self) -> None:
        self.declines = False
        self.declined: set[str] = set()
        self.requests: Counter[tuple[str, str]] = Counter()
        self.objects: dict[str, dict[str, Any]] = {}
        self.paid: Counter[str] = Counter()
        self._answers: dict[str, tuple[Form, Answer | None]] = {}
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)

    def answer(self, method: str, path: str, form: Form, headers: Mapping[str, str]) -> Answer:
        """What Stripe would answer."""
        if not headers.get("Authorization", "").startswith("Bearer sk_"):
            wrong = StripeError(401, "invalid_request_error", "You did not provide an API key.")
            return wrong.status, wrong.body
        try:
            if method != "POST":
                return self._handle(method, path, form)
            return self._once(headers.get("Idempotency-Key"), method, path, form)
        except StripeError as exc:
            return exc.status, exc.body

    def _once(self, key: str | None, method: str, path: str, form: Form) -> Answer:
        if not key:
            raise StripeError(400, "invalid_request_error", "The sandbox wants an Idempotency-Key.")
        asked = {**form, "path": path}
        with self._lock:
            if key in self._answers:
                before, answer = self._answers[key]
                if before != asked:
                    raise StripeError(400, "idempotency_error", "The key was used with other parameters.")
                if answer is None:
                    raise StripeError(409, "idempotency_error", "A request with this key is under way.")
                return answer
            self._answers[key] = (asked, None)
        try:
            answer = self._handle(method, path, form)
        except StripeError as exc:
            answer = exc.status, exc.body
        with self._lock:
            self._answers[key] = (asked, copy.deepcopy(answer))
        return answer

    def _handle(self, method: str, path: str, form: Form) -> Answer:
        with self._lock:
            self.requests[method, path] += 1
            parts = path.strip("/").split("/")[1:]
            name = "_".join(
                [method.lower(), parts[0], *parts[2:]] if len(parts) > 1 else [method.lower(), parts[0]]
            )
            handlers: dict[str, Callable[[Form, list[str]], dict[str, Any]]] = {
                "post_customers": self._customer if len(parts) == 1 else self._update_customer,
                "delete_customers": self._delete_customer,
                "post_checkout": self._session,
                "get_invoices": self._invoices,
                "post_invoices": self._invoice,
                "post_invoiceitems": self._item,
                "post_invoices_finalize": self._finalize,
                "post_invoices_pay": self._pay,
                "post_invoices_void": self._void,
                "delete_invoices": self._delete_invoice,
                "get_credit_notes": self._credit_notes,
                "post_credit_notes": self._credit_note,
            }
            if method == "GET" and len(parts) == 2:  # /v1/<kind>/<id>
                return 200, self._find(parts[1])
            if name not in handlers:
                raise StripeError(
                    404, "invalid_request_error", f"Unrecognized request URL ({method}: {path})."
                )
            return 200, copy.deepcopy(handlers[name](form, parts))

    def _new(self, prefix: str, **members: Any) -> dict[str, Any]:
        made = {"id": f"{prefix}_{next(self._numbers):08d}", "created": int(time.time()), **members}
        self.objects[made["id"]] = made
        return made

    def _find(self, object_id: str) -> dict[str, Any]:
        if object_id.startswith("cus_") and object_id not in self.objects:
            self.objects[object_id] = {"id": object_id, "object": "customer"}
        if object_id not in self.objects:
            raise StripeError(
                404, "invalid_request_error", f"No such object: '{object_id}'", "resource_missing"
            )
        return self.objects[object_id]

    def _customer(self, form: Form, _: list[str]) -> dict[str, Any]:
        return self._new("cus", object="customer", name=form.get("name"), metadata=_members(form, "metadata"))

    def _present(self, customer: str) -> dict[str, Any]:
        """A customer that was not deleted."""
        if (found := self._find(customer)).get("deleted"):
            raise StripeError(
                400, "invalid_request_error", f"No such customer: '{customer}'", "resource_missing"
            )
        return found

    def _delete_customer(self, _: Form, parts: list[str]) -> dict[str, Any]:
        self._present(parts[1])
        self.objects[parts[1]] = {"id": parts[1], "object": "customer", "deleted": True}
        return self.objects[parts[1]]

    def _update_customer(self, form: Form, parts: list[str]) -> dict[str, Any]:
        made = self._present(parts[1])
        made["card"] = form.get("invoice_settings[default_payment_method]", made.get("card"))
        return made

    def _session(self, form: Form, _: list[str]) -> dict[str, Any]:
        if form.get("mode") != "setup":
            raise StripeError(400, "invalid_request_error", "The sandbox only knows setup sessions.")
        self._present(form["customer"])
        made = self._new("cs", object="checkout.session", mode="setup", customer=form["customer"])
        made |= {"success_url": form["success_url"], "status": "open", "url": f"/checkout/{made['id']}"}
        return made

    def _invoice(self, form: Form, _: list[str]) -> dict[str, Any]:
        self._present(form["customer"])
        return self._new(
            "in",
            object="invoice",
            customer=form["customer"],
            status="draft",
            currency=form.get("currency", "usd"),
            auto_advance=form.get("auto_advance") == "true",
            metadata=_members(form, "metadata"),
            lines={"object": "list", "data": []},
            total=0,
            attempted=False,
            attempt_count=0,
            next_payment_attempt=None,
        )

    def _invoices(self, form: Form, _: list[str]) -> dict[str, Any]:
        found = [
            made
            for made in self.objects.values()
            if made.get("object") == "invoice" and form.get("customer") in (None, made["customer"])
        ]
        return {"object": "list", "data": found[::-1], "has_more": False, "url": "/v1/invoices"}

    def _item(self, form: Form, _: list[str]) -> dict[str, Any]:
        invoice = self._find(form["invoice"])
        _expect(invoice, "draft")
        item = self._new("ii", object="invoiceitem", amount=int(form["amount"]), invoice=invoice["id"])
        item["description"] = form.get("description")
        invoice["lines"]["data"].append(item)
        invoice["total"] += item["amount"]
        return item

    def _finalize(self, _: Form, parts: list[str]) -> dict[str, Any]:
        invoice = self._find(parts[1])
        _expect(invoice, "draft")
        invoice["status"] = "open"
        return invoice

    def _pay(self, form: Form, parts: list[str]) -> dict[str, Any]:
        invoice = self._find(parts[1])
        _expect(invoice, "open", "uncollectible")
        customer = self._present(invoice["customer"])
        card = form.get("payment_method") or customer.get("card")
        if card and self.objects.get(card, invoice)["customer"] != invoice["customer"]:
            raise StripeError(400, "invalid_request_error", "The payment method is another customer's.")
        invoice["attempted"] = True
        invoice["attempt_count"] += 1
        if card is None:
            raise StripeError(400, "invalid_request_error", "There is no payment method to charge.")
        if self.declines or card in self.declined:
            invoice["next_payment_attempt"] = int(time.time()) + 3 * 86_400
            raise StripeError(402, "card_error", "Your card was declined.", "card_declined")
        invoice |= {"status": "paid", "next_payment_attempt": None}
        self.paid[invoice["id"]] += 1
        return invoice

    def _void(self, _: Form, parts: list[str]) -> dict[str, Any]:
        invoice = self._find(parts[1])
        _expect(invoice, "open", "uncollectible")
        invoice |= {"status": "void", "next_payment_attempt": None}
        return invoice

    def _delete_invoice(self, _: Form, parts: list[str]) -> dict[str, Any]:
        _expect(self._find(parts[1]), "draft")
        del self.objects[parts[1]]
        return {"id": parts[1], "object": "invoice", "deleted": True}

    def _notes_of(self, invoice: str) -> list[dict[str, Any]]:
        return [
            made
            for made in self.objects.values()
            if made.get("object") == "credit_note" and made["invoice"] == invoice
        ]

    def _credit_notes(self, form: Form, _: list[str]) -> dict[str, Any]:
        found = self._notes_of(form["invoice"])[::-1]
        return {"object": "list", "data": found, "has_more": False, "url": "/v1/credit_notes"}

    def _credit_note(self, form: Form, _: list[str]) -> dict[str, Any]:
        invoice, amount = self._find(form["invoice"]), int(form["amount"])
        _expect(invoice, "paid")
        if amount > invoice["total"] - sum(note["amount"] for note in self._notes_of(invoice["id"])):
            raise StripeError(400, "invalid_request_error", "That is more than is left of the invoice.")
        if int(form.get("refund_amount", 0)) != amount:
            raise StripeError(400, "invalid_request_error", "Of a paid invoice all must go somewhere.")
        return self._new(
            "cn",
            object="credit_note",
            invoice=invoice["id"],
            amount=amount,
            status="issued",
            metadata=_members(form, "metadata"),
        )

    def complete(self, session_id: str) -> tuple[str, bytes]:
        """Fill in a setup session with a test card: where its webhook goes, and the event's body."""
        with self._lock:
            session = self._find(session_id)
            card = {"brand": "visa", "last4": "4242"}
            method = self._new(
                "pm", object="payment_method", type="card", card=card, customer=session["customer"]
            )
            session["status"] = "complete"
        origin = "/".join(session["success_url"].split("/")[:3])
        return f"{origin}/webhooks/stripe", event("payment_method.attached", method)


def _expect(invoice: dict[str, Any], *statuses: str) -> None:
    if invoice["status"] not in statuses:
        raise StripeError(400, "invalid_request_error", _ALREADY.format(invoice["status"]))


def _members(form: Form, name: str) -> dict[str, str]:
    """`metadata[a]=1` as an object."""
    prefix = f"{name}["
    return {key[len(prefix) : -1]: value for key, value in form.items() if key.startswith(prefix)}


_events = itertools.count(1)


def event(kind: str, about: dict[str, Any], *, event_id: str | None = None) -> bytes:
    """The body of a webhook (https://docs.stripe.com/api/events/object)."""
    number = f"evt_{time.time_ns()}_{next(_events)}"
    members = {"id": event_id or number, "object": "event", "type": kind, "created": int(time.time())}
    return json.dumps({**members, "data": {"object": about}}).encode()


def signature(body: bytes, secret: str, *, at: float | None = None) -> str:
    """The `Stripe-Signature` of a webhook (https://docs.stripe.com/webhooks#verify-manually)."""
    stamp = int(time.time() if at is None else at)
    mac = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={stamp},v1={mac}"

"""A storm: everything that the product stands on dies, freezes, fills up and forgets while clients post.

`python -m tests.faults.storm --seconds 600 --seed 20261122 [--no-sweep]` runs the real stack on servers of
its own, behind proxies that cut connections, and real clients that do what the README advises: an idempotency
key, and again where no answer came. When the storm is over, all that the clients were told is compared with
all that the tables and the gateway hold. It ends by itself and exits 1 if there is one difference.

- `faults`: what goes wrong, drawn from the seed
- `proxy`: connections that break
- `clients`: what is sent, and what was answered
- `reconcile`: promises against rows
"""

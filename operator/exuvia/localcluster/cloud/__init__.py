"""The simulated cloud: a process of its own that launches and terminates simulated machines, over HTTP on loopback.

It is what `provider: Simulated` talks to. Each pool is a node group; each machine is a Node that KWOK plays. Its book
is a file, so that it can be killed at any moment: what was acknowledged is done, and nothing is launched twice.

The API (JSON; `POOL` is the name of a pool, `KEY` the caller's idempotency key)::

    GET    /healthz                            200 {"status": "ok"}
    GET    /v1/pools                           200 {"pools": {POOL: GROUP}}
    GET    /v1/pools/POOL                      200 GROUP
    PUT    /v1/pools/POOL            GROUP     200 GROUP; launches machines until there are `size` of them
    PATCH  /v1/pools/POOL            GROUP     the same, but what is not given stays as it is
    GET    /v1/pools/POOL/machines             200 {"machines": [MACHINE]}; ?all=true with those that failed or are gone
    POST   /v1/pools/POOL/machines   {"key": KEY, "zone": "a"}
                                               201 MACHINE, a new one; 200 MACHINE, the one of that key;
                                               409 MACHINE with state Failed: definite, that key never launches
    GET    /v1/pools/POOL/requests/KEY         200 MACHINE; 404 with state Unknown
    DELETE /v1/machines?providerID=ID          200 MACHINE, terminated now or already; 404 for a stranger's ID
    POST   /v1/machines/vanish?providerID=ID   200 MACHINE: it is lost at once, nobody having asked for it
    GET    /v1/pools/POOL/faults               200 FAULTS
    POST   /v1/pools/POOL/faults     FAULTS    200 FAULTS; what is not given stays as it is
    DELETE /v1/pools/POOL/faults               200 FAULTS, all of them off

    MACHINE  {"requestID", "state", "providerID", "nodeName", "message", "key", "pool", "zone"}
             state: Launching, Running, Failed, Gone (or Unknown)
    GROUP    {"size": 0, "maxSize": 0 (no limit), "refill": false, "zones": ["a"], "labels": {}, "taints": [],
              "image": {"osImage", "kernel", "kubelet", "containerRuntime", "architecture"},
              "launchSeconds": 0, "bootSeconds": 0, "terminateSeconds": 0}
    FAULTS   how many of the next ones are hit, -1 for all until it is changed:
             {"capacity": launches that fail for good, "unavailable": requests about the pool's machines answered 503,
              "loseAnswer": launches that are done but answered 503, "neverArrive": machines that stay Launching,
              "neverReady": machines whose Node is never Ready, "oldImage": machines of the image before its change,
              "vanish": machines that are lost `vanishSeconds` after they came, "vanishSeconds": 0}

With `refill` the cloud puts a new machine in the place of each whose Node was deleted or that was terminated. Anything
else that goes wrong is `{"message"}` with 400 (a wrong question), 404 (no such pool) or 503 (try again). A Node whose
providerID is `simulated://POOL/...` is a machine of that pool, whoever created it.
"""

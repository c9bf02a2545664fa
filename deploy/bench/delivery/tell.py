"""tell.py FOLDER WHAT ...: one line for each figure, with its bar and its ratio to the raw path of the same run."""
import json, os, sys, time

work, what, *rest = sys.argv[1:]


def raw(name):
    file = f"{work}/raw-{name}.json"
    return json.load(open(file)) if os.path.exists(file) else None


def keep(name, **figures):
    json.dump(figures, open(f"{work}/raw-{name}.json", "w"))


def share(ours, name, figure="rate"):
    path = raw(name.split("-")[0])
    return f"{ours / path[figure]:.2f} of the raw {name.split('-')[0]} path" if path else f"raw {name} path not measured in this run"


def bar(is_met):
    return "met" if is_met else "MISSED"


def p(times, part):
    return sorted(times)[min(len(times) - 1, int(len(times) * part))]


if what == "raw-broker":
    rate = 50_000 / (time.time() - float(rest[0]))
    keep("broker", rate=rate)
    print(f"raw broker path, 363 bytes a message, QoS 1 both ways: {rate:,.0f} messages/s")
elif what == "raw-postgres":
    rate, times = 100_000 / (time.time() - float(rest[0])), [float(t) for t in rest[1].split()]
    keep("postgres", rate=rate, p99=p(times, 0.99))
    print(f"raw insert, PostgreSQL, defaults: {rate:,.0f} rows/s in transactions of 500; transactions of 20: p99 {p(times, 0.99):.1f} ms")
elif what == "most":
    engine, fleet, before, after, due, begin = rest[0], json.loads(rest[1]), rest[2].split(), rest[3].split(), rest[4], float(rest[5])
    rate = fleet["per_second"]
    hub, broker, server = (int(b) - int(a) for a, b in zip(before, after))
    print(f"{engine}: {fleet['deleted']:,} events of {fleet['gateways']} outboxes in {fleet['envelopes']:,} envelopes, all stored and deleted in "
          f"{fleet['seconds']:.1f} s: {rate:,.0f} events/s durable (bar 10,000: {bar(rate >= 10_000)}; {share(rate, 'broker')}, {share(rate, engine)}); "
          f"CPU hub {hub} ms, mosquitto {broker} ms, PostgreSQL {server} ms; hub lag at the end {int(due):,} work rows, done {time.time() - begin:.1f} s later")
elif what == "paced":
    engine, fleet, due = rest[0], json.loads(rest[1]), rest[2]
    times = [float(line) for line in open(f"{work}/commits") if line.strip()]
    commit, deleted = p(times, 0.99), fleet["deleted_ms"]["p99"]
    ratio = raw(engine)
    beside = f"{commit / ratio['p99']:.0f} times a raw transaction of 20" if ratio else "raw path not measured in this run"
    print(f"{engine}: {fleet['deleted']:,} events at 1,000/s: to commit p50 {p(times, 0.5):.0f} ms, p99 {commit:.0f} ms "
          f"(bar 100: {bar(commit <= 100)}; {beside}; {len(times):,} seen); to deleted p50 {fleet['deleted_ms']['p50']:.0f} ms, p99 {deleted:.0f} ms "
          f"(bar 500: {bar(deleted <= 500)}); durable in the outbox p99 {fleet['durable_ms']['p99']:.0f} ms; hub lag at the end {due} work rows")
elif what == "idle":
    shares = [(int(b) - int(a)) / 60 for a, b in zip(rest[0].split(), rest[1].split())]
    print("idle, five hubs on one PostgreSQL, % of a core each: " + ", ".join(f"{s:.2f}" for s in shares) + f" (bar 3: {bar(max(shares) <= 3)})")
elif what == "append":
    fleet = json.loads(rest[0])
    took = fleet["durable_ms"]
    ratio = raw("sqlite")
    beside = f"{took['p99'] / ratio['p99']:.0f} times a raw transaction of 20" if ratio else "raw path not measured in this run"
    print(f"outbox append at 100 events/s, {fleet['deleted']:,} events: p50 {took['p50']:.1f} ms, p99 {took['p99']:.1f} ms, worst {took['max']:.1f} ms "
          f"(bar 60: {bar(took['p99'] <= 60)}; {beside})")
elif what == "memory":
    kib, stored = int(rest[0]), int(rest[1])
    print(f"gateway with a backlog of 100,000 events, {stored:,} of them stored: at most {kib / 1024:.1f} MiB resident (bar 25: {bar(kib <= 25 * 1024)})")

"""raw_insert.py FOLDER: the batched insert alone, on SQLite; and the files with which psql does the same on PostgreSQL."""
import json, sqlite3, sys, time, uuid

work = sys.argv[1]
TABLE = ("CREATE TABLE raw (gateway TEXT, epoch TEXT, seq BIGINT, id TEXT, store TEXT, zone TEXT, signal TEXT, phase TEXT, at BIGINT, "
         "last_at BIGINT, strength TEXT, PRIMARY KEY (gateway, epoch, seq))")
rows = [("gw", "e", n, str(uuid.uuid4()), "lyon-bellecour", "in", "app", "enter", n, n, '"app"') for n in range(110_000)]
many, few = rows[:100_000], rows[100_000:]


def batches(rows, size):
    return [rows[i:i + size] for i in range(0, len(rows), size)]


def statement(rows):
    return "INSERT INTO raw VALUES " + ",".join(["(?,?,?,?,?,?,?,?,?,?,?)"] * len(rows)) + " ON CONFLICT DO NOTHING"


def insert(db, batch):
    begin = time.perf_counter()
    db.execute("BEGIN IMMEDIATE")
    db.execute(statement(batch), [v for row in batch for v in row])
    db.execute("COMMIT")
    return (time.perf_counter() - begin) * 1000


def literal(batch):
    quote = lambda v: str(v) if isinstance(v, int) else "'" + v + "'"
    return "INSERT INTO raw VALUES " + ",".join("(" + ",".join(map(quote, row)) + ")" for row in batch) + " ON CONFLICT DO NOTHING;"


db = sqlite3.connect(work + "/raw.db", isolation_level=None)
db.execute("PRAGMA journal_mode=WAL")
db.execute("PRAGMA synchronous=FULL")
db.execute(TABLE)
took = sum(insert(db, batch) for batch in batches(many, 500))
rate = len(many) / took * 1000
times = sorted(insert(db, batch) for batch in batches(few, 20))
json.dump({"rate": rate, "p99": times[len(times) * 99 // 100]}, open(work + "/raw-sqlite.json", "w"))
print(f"raw insert, SQLite, synchronous FULL: {rate:,.0f} rows/s in transactions of 500; transactions of 20: p99 {times[len(times) * 99 // 100]:.1f} ms")
open(work + "/raw-table.sql", "w").write(TABLE)
open(work + "/raw.sql", "w").write("\n".join(map(literal, batches(many, 500))))
open(work + "/raw-few.sql", "w").write("\\timing on\n" + "\n".join(map(literal, batches(few, 20))))

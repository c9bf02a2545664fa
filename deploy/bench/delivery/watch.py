"""watch.py DATABASE OUT: writes for each event of the paced fleet how many ms after it happened a reader of SQLite saw it. Until SIGTERM."""
import signal, sqlite3, sys, time

database, out = sys.argv[1:]
is_over = False


def end(*_):
    global is_over
    is_over = True


signal.signal(signal.SIGTERM, end)
db = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
last = db.execute("SELECT COALESCE(MAX(rowid), 0) FROM event").fetchone()[0]
with open(out, "w") as file:
    while not is_over:
        rows = db.execute("SELECT rowid, at, gateway FROM event WHERE rowid > ? ORDER BY rowid", (last,)).fetchall()
        now = time.time() * 1000
        for last, at, gateway in rows:
            if gateway.startswith("paced-"):
                print(f"{now - at:.1f}", file=file)
        time.sleep(0.002)

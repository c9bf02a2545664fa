#!/usr/bin/env python3
"""Writes adverts of made-up devices: kind, address, address type, RSSI, AD bytes as hex; one a line, tabs between.

    adverts.py OUT.tsv [COUNT=100000] [SEED=1]

40 % iBeacon, 15 % each Eddystone-UID, Eddystone-TLM, battery service, manufacturer data of nobody. The same seed gives the same bytes in every
Python 3.9 or later.
"""
import random
import sys

SHARES = {"ibeacon": 40, "eddy_uid": 15, "eddy_tlm": 15, "svc16": 15, "unknown": 15}
UUID = bytes.fromhex("f7826da64fa24e988024bc5b71e0893e")
FLAGS, EDDYSTONE = "020106", "0303aafe"


class Device:
    def __init__(self, rng):
        self.address = rng.randbytes(6)
        self.kind = pick(rng)
        self.major, self.minor = rng.randbytes(2), rng.randbytes(2)
        self.namespace, self.instance = rng.randbytes(10), rng.randbytes(6)


def pick(rng):
    return rng.choices(list(SHARES), list(SHARES.values()))[0]


def structure(kind, *parts):
    value = b"".join(parts)
    return f"{len(value) + 1:02x}{kind:02x}{value.hex()}"


def telemetry(rng):
    battery, temperature = rng.randrange(2600, 3300), rng.randrange(15 << 8, 30 << 8)
    adverts, uptime = rng.randrange(1 << 24), rng.randrange(1 << 28)
    return b"".join(n.to_bytes(size, "big") for n, size in [(battery, 2), (temperature, 2), (adverts, 4), (uptime, 4)])


def data(device, rng):
    if device.kind == "ibeacon":
        return structure(0xFF, b"\x4c\x00\x02\x15", UUID, device.major, device.minor, b"\xc5")
    if device.kind == "eddy_uid":
        return EDDYSTONE + structure(0x16, b"\xaa\xfe\x00\xe3", device.namespace, device.instance, b"\0\0")
    if device.kind == "eddy_tlm":
        return EDDYSTONE + structure(0x16, b"\xaa\xfe\x20\x00", telemetry(rng))
    if device.kind == "svc16":
        return "03030f18" + structure(0x16, b"\x0f\x18", bytes([rng.randrange(101)]))
    company = rng.randrange(0x0C00, 0x0F00).to_bytes(2, "little")
    return structure(0xFF, company, rng.randbytes(rng.randrange(4, 23)))


def main(out, count=100_000, seed=1):
    rng = random.Random(int(seed))
    devices = [Device(rng) for _ in range(2000)]
    of_kind = {kind: [d for d in devices if d.kind == kind] for kind in SHARES}
    with open(out, "w", encoding="ascii") as file:
        for _ in range(int(count)):
            device = rng.choice(of_kind[pick(rng)])
            advert = FLAGS + data(device, rng)
            print(device.kind, device.address.hex(), "r", rng.randrange(-95, -40), advert, sep="\t", file=file)


if __name__ == "__main__":
    main(*sys.argv[1:])

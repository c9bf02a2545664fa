"""shapely (GEOS): an STRtree over the fences, all points in one call, the exact test after it. Usage: shapely_peer.py DATA RUNS"""
import sys
import time

import numpy as np
import shapely

data, runs = sys.argv[1], int(sys.argv[2])
EARTH = 6371008.8
rows = [line.rstrip("\n").split("\t") for line in open(f"{data}/fences.tsv")]
is_circle = np.array([row[1] == "C" for row in rows])
lon, lat, radius = (np.array([float(row[k]) for row in rows]) for k in (2, 3, 4))
up = np.degrees(radius / EARTH) * 1.0000001
along = np.degrees(np.arcsin(np.minimum(1, np.sin(radius / EARTH) / np.cos(np.radians(lat))))) * 1.0000001
shapes = np.array([
    shapely.box(lon[i] - along[i], lat[i] - up[i], lon[i] + along[i], lat[i] + up[i]) if is_circle[i] else shapely.from_wkt(row[5])
    for i, row in enumerate(rows)
], dtype=object)
points = np.loadtxt(f"{data}/points.csv", delimiter=",")
tree = shapely.STRtree(shapes)
shapely.prepare(shapes)


def metres(lon1, lat1, lon2, lat2):
    a, b = np.radians(lat1), np.radians(lat2)
    h = np.sin((b - a) / 2) ** 2 + np.cos(a) * np.cos(b) * np.sin(np.radians(lon2 - lon1) / 2) ** 2
    return 2 * EARTH * np.arcsin(np.sqrt(h))


def pairs():
    p, f = tree.query(shapely.points(points))
    keep = np.zeros(len(p), bool)
    c, g = np.flatnonzero(is_circle[f]), np.flatnonzero(~is_circle[f])
    keep[c] = metres(points[p[c], 0], points[p[c], 1], lon[f[c]], lat[f[c]]) <= radius[f[c]]
    keep[g] = shapely.intersects_xy(shapes[f[g]], points[p[g], 0], points[p[g], 1])
    return np.column_stack([p[keep], f[keep]])


times = []
for _ in range(runs):
    start = time.process_time()
    found = pairs()
    times.append(time.process_time() - start)
times.sort()
found = found[np.lexsort((found[:, 1], found[:, 0]))]
np.savetxt(f"{data}/pairs-shapely.txt", found, fmt="%d")
print("shapely", *(round(len(points) / t) for t in (times[runs // 2], times[-1], times[0])), len(found), sep="\t")

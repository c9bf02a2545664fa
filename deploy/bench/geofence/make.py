"""The seeded data of the comparison, byte for byte as it was when the peers were first measured (needs numpy).

Usage: make.py FOLDER. Writes fences.geojson and fences.tsv (10,000 fences in 200 cities: circles of 50 to 300 m, star-shaped polygons of 8 to 40
corners) and points.csv (1,000,000 lines "longitude,latitude": 70 % within two radii of a fence, 15 % elsewhere in a city, 15 % anywhere).
"""
import json
import math
import sys

import numpy as np

FENCES, POINTS, CITIES = 10_000, 1_000_000, 200
METRES_PER_DEGREE = 111_195.0
folder = sys.argv[1]
random = np.random.default_rng(20261122)


def moved(lon, lat, east, north):
    return lon + east / (METRES_PER_DEGREE * np.cos(np.radians(lat))), lat + north / METRES_PER_DEGREE


city_lon, city_lat = random.uniform(-170, 170, CITIES), random.uniform(-50, 60, CITIES)
features, rows = [], []
centres, reaches = np.zeros((FENCES, 2)), np.zeros(FENCES)
for i in range(FENCES):
    city = int(random.integers(CITIES))
    lon, lat = (round(float(x), 7) for x in moved(city_lon[city], city_lat[city], random.normal(0, 3000), random.normal(0, 3000)))
    centres[i] = lon, lat
    if i % 2 == 0:
        radius = round(float(random.uniform(50, 300)), 1)
        reaches[i] = radius
        properties, geometry = {"name": f"circle-{i}", "radius_m": radius}, {"type": "Point", "coordinates": [lon, lat]}
        rows.append(f"{i}\tC\t{lon:.7f}\t{lat:.7f}\t{radius}\t\n")
    else:
        corners, base = int(random.integers(8, 41)), float(random.uniform(50, 250))
        angles = (np.arange(corners) + random.uniform(0.1, 0.9, corners)) * 2 * math.pi / corners
        radii = base * random.uniform(0.6, 1.2, corners)
        x, y = moved(lon, lat, radii * np.cos(angles), radii * np.sin(angles))
        ring = [[round(float(a), 7), round(float(b), 7)] for a, b in zip(x, y)]
        ring.append(ring[0])
        reaches[i] = base
        properties, geometry = {"name": f"poly-{i}"}, {"type": "Polygon", "coordinates": [ring]}
        rows.append(f"{i}\tP\t{lon:.7f}\t{lat:.7f}\t0\tPOLYGON((" + ",".join(f"{a:.7f} {b:.7f}" for a, b in ring) + "))\n")
    features.append({"type": "Feature", "id": i, "properties": properties, "geometry": geometry})
with open(f"{folder}/fences.geojson", "w") as file:
    json.dump({"type": "FeatureCollection", "features": features}, file, separators=(",", ":"))
with open(f"{folder}/fences.tsv", "w") as file:
    file.writelines(rows)

near, town = int(POINTS * 0.70), int(POINTS * 0.15)
fence = random.integers(FENCES, size=near)
way = reaches[fence] * 2 * np.sqrt(random.uniform(0, 1, near))
angle = random.uniform(0, 2 * math.pi, near)
near_lon, near_lat = moved(centres[fence, 0], centres[fence, 1], way * np.cos(angle), way * np.sin(angle))
city = random.integers(CITIES, size=town)
town_lon, town_lat = moved(city_lon[city], city_lat[city], random.uniform(-10000, 10000, town), random.uniform(-10000, 10000, town))
rest = POINTS - near - town
points = np.column_stack([
    np.concatenate([near_lon, town_lon, random.uniform(-170, 170, rest)]),
    np.concatenate([near_lat, town_lat, random.uniform(-50, 60, rest)]),
])
np.savetxt(f"{folder}/points.csv", points[random.permutation(POINTS)], fmt="%.7f", delimiter=",")

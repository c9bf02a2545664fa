// turf with a flatbush index over the boxes. Usage: node turf_peer.mjs DATA RUNS, in a folder that has them in node_modules
import fs from 'node:fs';
import { createRequire } from 'node:module';
const require = createRequire(`${process.cwd()}/peer.js`);
const turf = require('@turf/turf');
const module = await import(require.resolve('flatbush'));
const Flatbush = module.default.default ?? module.default;
const [data, runs] = [process.argv[2], Number(process.argv[3])];
const EARTH = 6371008.8, RADIAN = Math.PI / 180;
const features = JSON.parse(fs.readFileSync(`${data}/fences.geojson`)).features;
const points = fs.readFileSync(`${data}/points.csv`, 'latin1').trimEnd().split('\n').map((line) => line.split(',').map(Number));
const index = new Flatbush(features.length);
for (const { geometry, properties } of features) {
  if (geometry.type === 'Polygon') { index.add(...turf.bbox(geometry)); continue; }
  const [x, y] = geometry.coordinates, r = properties.radius_m / EARTH;
  const up = r / RADIAN * 1.0000001, along = Math.asin(Math.min(1, Math.sin(r) / Math.cos(y * RADIAN))) / RADIAN * 1.0000001;
  index.add(x - along, y - up, x + along, y + up);
}
index.finish();
const holds = ({ geometry, properties }, point) => geometry.type === 'Polygon'
  ? turf.booleanPointInPolygon(point, geometry)
  : turf.distance(point, geometry.coordinates, { units: 'meters' }) <= properties.radius_m;
const times = [];
let pairs;
for (let run = 0; run < runs; run++) {
  const start = process.cpuUsage();
  pairs = [];
  points.forEach((p, i) => index.search(p[0], p[1], p[0], p[1]).forEach((f) => { if (holds(features[f], p)) pairs.push([i, f]); }));
  const used = process.cpuUsage(start);
  times.push((used.user + used.system) / 1e6);
}
times.sort((a, b) => a - b);
pairs.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
fs.writeFileSync(`${data}/pairs-turf.txt`, pairs.map((p) => p.join(' ')).join('\n') + '\n');
console.log(['turf', ...[times[runs >> 1], times[runs - 1], times[0]].map((t) => Math.round(points.length / t)), pairs.length].join('\t'));

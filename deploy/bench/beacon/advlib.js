// How many adverts a CPU second decodes in reelyActive's advlib.
//
//   node advlib.js ADVERTS.tsv [RUNS=5]      with advlib and its libraries in NODE_PATH
//
// advlib takes link-layer packets: a header of two bytes and the address before the AD bytes. They are built before the clock starts, as
// buffers, which is the faster of the two forms that it takes. An advert counts as decoded when more came out than its bare AD structures.
'use strict';
const fs = require('fs');
const advlib = require('advlib');

const processors = [{
  processor: require('advlib-ble'),
  libraries: [require('advlib-ble-services'), require('advlib-ble-manufacturers')],
  options: { ignoreProtocolOverhead: true, indices: [] },
}];
const bare = ['uuids', 'isLocalNameComplete', 'name', 'serviceData', 'manufacturerSpecificData', 'uri', 'txPower', 'flags'];

function packet(address, data) {
  const header = Buffer.from([0x42, 6 + data.length]);
  return Buffer.concat([header, Buffer.from(address, 'hex').reverse(), data]);
}

const [file, runs = '5'] = process.argv.slice(2);
const adverts = fs.readFileSync(file, 'utf8').split('\n').filter(Boolean).map((line) => {
  const [kind, address, , , hex] = line.split('\t');
  return { kind, packet: packet(address, Buffer.from(hex, 'hex')) };
});

const kinds = {};
for (const { kind, packet } of adverts) {
  const found = advlib.process(packet, processors);
  if (found && Object.keys(found).some((key) => !bare.includes(key))) kinds[kind] = (kinds[kind] || 0) + 1;
}
const decoded = Object.values(kinds).reduce((sum, count) => sum + count, 0);

const rates = [];
for (let run = 0; run < Number(runs); run++) {
  const begun = process.cpuUsage();
  for (const { packet } of adverts) advlib.process(packet, processors);
  const { user, system } = process.cpuUsage(begun);
  rates.push(adverts.length / ((user + system) / 1e6));
}
const rate = rates.sort((a, b) => a - b)[rates.length >> 1];
const share = decoded / adverts.length;
console.log(JSON.stringify({
  peer: 'advlib', n: adverts.length, decoded_frac: share, decoded_by_kind: kinds,
  inputs_per_cpu_s_median: Math.round(rate), decoded_per_cpu_s_median: Math.round(rate * share),
}));

// A second SMS centre that we did not write: npm `smpp`. It listens on a free port of 127.0.0.1 and prints it, then one JSON line per submit. After each
// submit it brings a receipt, and after the first one a STOP; `{"answered":...}` tells how the hub answered that.
//
//   node smsc.js NODE_MODULES
'use strict';
const smpp = require(process.argv[2] + '/smpp');

const say = (what) => process.stdout.write(JSON.stringify(what) + '\n');
let next = 0;

const server = smpp.createServer({}, (session) => {
  session.on('error', () => {});
  session.on('bind_transceiver', (pdu) => session.send(pdu.response({ system_id: 'node' })));
  session.on('enquire_link', (pdu) => session.send(pdu.response()));
  session.on('unbind', (pdu) => { session.send(pdu.response()); session.close(); });
  session.on('submit_sm', (pdu) => {
    const id = 'n' + (++next);
    const text = pdu.short_message.message;
    say({
      destination: pdu.destination_addr, source: pdu.source_addr, source_ton: pdu.source_addr_ton, esm_class: pdu.esm_class,
      data_coding: pdu.data_coding, validity: pdu.validity_period, registered_delivery: pdu.registered_delivery,
      text: Buffer.isBuffer(text) ? text.toString('latin1') : String(text),
    });
    session.send(pdu.response({ message_id: id }));
    session.deliver_sm({
      source_addr: pdu.destination_addr, source_addr_ton: 1, source_addr_npi: 1, destination_addr: pdu.source_addr, esm_class: 0x04,
      short_message: 'id:' + id + ' sub:001 dlvrd:001 submit date:2611201040 done date:2611201040 stat:DELIVRD err:000 text:',
    });
    if (next === 1) {
      session.deliver_sm({
        source_addr: pdu.destination_addr, source_addr_ton: 1, source_addr_npi: 1, destination_addr: '36111', esm_class: 0,
        short_message: 'STOP',
      }, (answer) => say({ answered: answer.command_status }));
    }
  });
});
server.on('error', (e) => { process.stderr.write(String(e) + '\n'); process.exit(1); });
server.listen(0, '127.0.0.1', function () { say({ port: (this.address ? this : server).address().port }); });

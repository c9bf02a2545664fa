//! Writes captures as other tools write them: sniffers, `btmon`, Wireshark. Written by hand from the formats' texts, not with the reader's code.

use passage_gateway::radio::Advert;

/// What a packet is wrapped in.
#[derive(Debug, Clone, Copy)]
pub enum Wrapped {
    H4,
    DirectedH4,
    Monitor,
    Air(Air),
    Nordic,
}

/// Packets from the air.
#[derive(Debug, Clone, Copy, Default)]
pub struct Air {
    /// Beside each advert the same with another strength: once with a wrong checksum, once without a valid strength; and a scan request.
    pub noise: bool,
}

/// JSON lines.
pub fn lines(adverts: &[Advert]) -> Vec<u8> {
    let line = |a: &Advert| {
        format!(
            "{{\"at\":{},\"address\":\"{}\",\"rssi\":{},\"data\":\"{}\"}}\n",
            a.at,
            hex::encode(a.address),
            a.rssi,
            hex::encode(&a.data)
        )
    };
    adverts.iter().map(line).collect::<String>().into_bytes()
}

/// btsnoop with this data link.
pub fn btsnoop(link: u32, adverts: &[Advert]) -> Vec<u8> {
    let mut file = [&b"btsnoop\0"[..], &1u32.to_be_bytes(), &link.to_be_bytes()].concat();
    for advert in adverts {
        for event in events(advert) {
            let packet = if link == 1002 { [vec![4], event].concat() } else { event };
            let length = u32::try_from(packet.len()).unwrap().to_be_bytes();
            let stamp = (advert.at.0 * 1000 + 0x00dc_ddb3_0f2f_8000).to_be_bytes();
            file.extend([&length[..], &length, &3u32.to_be_bytes(), &[0; 4], &stamp, &packet].concat());
        }
    }
    file
}

/// pcap, little-endian, microseconds.
pub fn pcap(wrapped: Wrapped, adverts: &[Advert]) -> Vec<u8> {
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
    let mut file = words(&[0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, u32::from(wrapped.link_type())]);
    for advert in adverts {
        for packet in wrapped.packets(advert) {
            let length = u32::try_from(packet.len()).unwrap();
            let seconds = u32::try_from(advert.at.secs()).unwrap();
            let micros = u32::try_from(advert.at.0.rem_euclid(1000)).unwrap() * 1000;
            file.extend(words(&[seconds, micros, length, length]));
            file.extend(packet);
        }
    }
    file
}

/// pcapng, little-endian, microseconds, one interface.
pub fn pcapng(wrapped: Wrapped, adverts: &[Advert]) -> Vec<u8> {
    fn block(kind: u32, body: &[&[u8]]) -> Vec<u8> {
        let mut body = body.concat();
        body.resize(body.len().next_multiple_of(4), 0);
        let length = u32::try_from(body.len() + 12).unwrap().to_le_bytes();
        [&kind.to_le_bytes()[..], &length, &body, &length].concat()
    }
    let mut file = block(0x0a0d_0d0a, &[&0x1a2b_3c4d_u32.to_le_bytes(), &[1, 0, 0, 0], &[0xff; 8]]);
    file.extend(block(1, &[&wrapped.link_type().to_le_bytes(), &[0, 0], &65_535u32.to_le_bytes()]));
    for advert in adverts {
        for packet in wrapped.packets(advert) {
            let stamp = u64::try_from(advert.at.0 * 1000).unwrap();
            let (high, low) = (u32::try_from(stamp >> 32).unwrap(), u32::try_from(stamp & 0xffff_ffff).unwrap());
            let length = u32::try_from(packet.len()).unwrap().to_le_bytes();
            file.extend(block(6, &[&[0; 4], &high.to_le_bytes(), &low.to_le_bytes(), &length, &length, &packet]));
        }
    }
    file
}

impl Wrapped {
    fn link_type(self) -> u16 {
        match self {
            Self::H4 => 187,
            Self::DirectedH4 => 201,
            Self::Monitor => 254,
            Self::Air(_) => 256,
            Self::Nordic => 272,
        }
    }

    fn packets(self, advert: &Advert) -> Vec<Vec<u8>> {
        let all = |head: &[u8]| events(advert).into_iter().map(|event| [head, &event].concat()).collect();
        match self {
            Self::H4 => all(&[4]),
            Self::DirectedH4 => all(&[0, 0, 0, 1, 4]),
            Self::Monitor => all(&[0, 0, 0, 3]),
            Self::Air(air) => air.packets(advert),
            Self::Nordic => {
                let strength = u8::try_from(-i16::from(advert.rssi)).unwrap();
                let head = [0, 0, 0, 3, 0, 0, 2, 10, 1, 37, strength, 0, 0, 0, 0, 0, 0];
                pdus(advert).iter().map(|pdu| [&head[..], &on_air(pdu)].concat()).collect()
            }
        }
    }
}

impl Air {
    fn packets(self, advert: &Advert) -> Vec<Vec<u8>> {
        const STRENGTH: u16 = 2;
        const CHECKED: u16 = 1 << 10;
        const VALID: u16 = 1 << 11;
        let wrap = |flags: u16, strength: i8, pdu: &[u8]| {
            let head = [37, strength.to_le_bytes()[0], 0, 0, 0xd6, 0xbe, 0x89, 0x8e];
            [&head[..], &(0x31 | flags).to_le_bytes(), &on_air(pdu)].concat()
        };
        let mut packets: Vec<_> = pdus(advert).iter().map(|pdu| wrap(STRENGTH | CHECKED | VALID, advert.rssi, pdu)).collect();
        if self.noise {
            let legacy = Advert { data: advert.data[..advert.data.len().min(31)].to_vec(), ..advert.clone() };
            let pdu = pdus(&legacy).remove(0);
            packets.push(wrap(STRENGTH | CHECKED, -20, &pdu));
            packets.push(wrap(CHECKED | VALID, -20, &pdu));
            packets.push(wrap(STRENGTH | CHECKED | VALID, -20, &[&[0x43, 12][..], &[0xaa; 12]].concat()));
        }
        packets
    }
}

/// With the access address of adverts, and a checksum that was not kept.
fn on_air(pdu: &[u8]) -> Vec<u8> {
    [&0x8e89_bed6_u32.to_le_bytes()[..], pdu, &[0; 3]].concat()
}

/// Link-layer packets: ADV_NONCONN_IND, or ADV_EXT_IND, AUX_ADV_IND and AUX_CHAIN_IND for what is longer.
fn pdus(advert: &Advert) -> Vec<Vec<u8>> {
    let mut address = advert.address;
    address.reverse();
    let pdu = |kind: u8, payload: Vec<u8>| [vec![0x40 | kind, u8::try_from(payload.len()).unwrap()], payload].concat();
    if advert.data.len() <= 31 {
        return vec![pdu(2, [&address[..], &advert.data].concat())];
    }
    let id = [advert.address[5], advert.address[4]];
    let (begin, end) = advert.data.split_at(advert.data.len() / 2);
    vec![
        pdu(7, [&[12, 0b0001_1001][..], &address, &id, &[1, 2, 3]].concat()),
        pdu(7, [&[6, 0b0001_1000][..], &id, &[1, 2, 3], begin].concat()),
        pdu(7, [&[3, 0b0000_1000][..], &id, end].concat()),
    ]
}

/// HCI events: a legacy report behind a stranger's in one event, or extended reports in two parts.
fn events(advert: &Advert) -> Vec<Vec<u8>> {
    let mut address = advert.address;
    address.reverse();
    let rssi = advert.rssi.to_le_bytes();
    let event = |parameters: Vec<u8>| [vec![0x3e, u8::try_from(parameters.len()).unwrap()], parameters].concat();
    if advert.data.len() <= 31 {
        let length = u8::try_from(advert.data.len()).unwrap();
        let stranger = [3, 1, 9, 9, 9, 9, 9, 9, 3, 2, 1, 6, 0xb0];
        return vec![event([&[2, 2][..], &stranger, &[3, 1], &address, &[length], &advert.data, &rssi].concat())];
    }
    let (begin, end) = advert.data.split_at(advert.data.len() / 2);
    let part = |status: u8, data: &[u8]| {
        let length = u8::try_from(data.len()).unwrap();
        event([&[0x0d, 1, status, 0, 1][..], &address, &[1, 1, 0, 0x7f], &rssi, &[0; 9], &[length], data].concat())
    };
    vec![part(0x20, begin), part(0x00, end)]
}

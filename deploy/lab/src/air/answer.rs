//! What the chip says about itself.

use super::packet::opcode;
use crate::Address;

/// Version number of Bluetooth 4.2, of HCI and of the link manager.
const VERSION_4_2: u8 = 0x08;
/// Company id for tests.
const MANUFACTURER: [u8; 2] = [0xff, 0xff];

/// The answer to a command that only asks, status first; `None` for a command that this chip does not know.
pub(super) fn fixed(code: u16, address: Address) -> Option<Vec<u8>> {
    let answer = match code {
        opcode::READ_LOCAL_NAME => vec![0; 249],
        opcode::READ_LOCAL_VERSION => [&[0, VERSION_4_2, 0, 0, VERSION_4_2], &MANUFACTURER[..], &[0, 0]].concat(),
        opcode::READ_LOCAL_COMMANDS => commands(),
        // LE is supported (bit 38), BR/EDR is not (bit 37).
        opcode::READ_LOCAL_FEATURES => vec![0, 0, 0, 0, 0, 0x60, 0, 0, 0],
        opcode::READ_BUFFER_SIZE => vec![0; 8],
        opcode::READ_BD_ADDR => [&[0], &address.to_le()[..]].concat(),
        // 8 packets of 251 bytes.
        opcode::LE_READ_BUFFER_SIZE => vec![0, 0xfb, 0x00, 8],
        opcode::LE_READ_LOCAL_FEATURES => vec![0; 9],
        opcode::LE_READ_ADVERTISING_TX_POWER => vec![0, 0],
        opcode::LE_READ_ACCEPT_LIST_SIZE => vec![0, 8],
        // Every combination of advertising, scanning and connecting.
        opcode::LE_READ_SUPPORTED_STATES => vec![0, 0xff, 0xff, 0xff, 0xff, 0xff, 0x03, 0, 0],
        _ => return None,
    };
    Some(answer)
}

/// The bit mask of supported commands: the kernel asks it before it uses some of them.
fn commands() -> Vec<u8> {
    let mut answer = vec![0; 65];
    // (octet, bits), as in the specification's table of supported commands.
    let supported = [
        (5, 0xc0),  // set event mask, reset
        (14, 0x28), // local version, local features
        (15, 0x02), // address
        (25, 0xf7), // event mask, buffer size, features, random address, advertising parameters, TX power and data
        (26, 0xcf), // scan response data, advertising, scan parameters, scan, accept list: size, clear
        (27, 0x03), // accept list: add, remove
        (28, 0x08), // supported states
    ];
    for (octet, bits) in supported {
        if let Some(byte) = answer.get_mut(1 + octet) {
            *byte = bits;
        }
    }
    answer
}

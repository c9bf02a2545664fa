//! HCI packets as bytes, in the form of `/dev/vhci`: one byte for the kind, then the packet.

use crate::Address;

/// First byte of a command from the host.
const COMMAND: u8 = 0x01;
/// First byte of an event to the host.
const EVENT: u8 = 0x04;
/// First byte of vhci's own packets.
const VENDOR: u8 = 0xff;

/// What the host writes first to get an adapter: a primary controller.
pub const MAKE_ADAPTER: [u8; 2] = [VENDOR, 0x00];

/// Event type of a connectable advert.
pub const ADV_IND: u8 = 0;
/// Event type of a scannable advert.
pub const ADV_SCAN_IND: u8 = 2;
/// Event type of an advert that can neither be connected nor scanned.
pub const ADV_NONCONN_IND: u8 = 3;
/// Event type of a scan response.
pub const SCAN_RSP: u8 = 4;

/// Commands that do something or have an answer of their own.
pub mod opcode {
    #![expect(missing_docs, reason = "named as in the specification")]
    pub const RESET: u16 = 0x0c03;
    pub const READ_LOCAL_NAME: u16 = 0x0c14;
    pub const READ_LOCAL_VERSION: u16 = 0x1001;
    pub const READ_LOCAL_COMMANDS: u16 = 0x1002;
    pub const READ_LOCAL_FEATURES: u16 = 0x1003;
    pub const READ_BUFFER_SIZE: u16 = 0x1005;
    pub const READ_BD_ADDR: u16 = 0x1009;
    pub const LE_READ_BUFFER_SIZE: u16 = 0x2002;
    pub const LE_READ_LOCAL_FEATURES: u16 = 0x2003;
    pub const LE_SET_ADVERTISING_PARAMETERS: u16 = 0x2006;
    pub const LE_READ_ADVERTISING_TX_POWER: u16 = 0x2007;
    pub const LE_SET_ADVERTISING_DATA: u16 = 0x2008;
    pub const LE_SET_SCAN_RESPONSE_DATA: u16 = 0x2009;
    pub const LE_SET_ADVERTISING_ENABLE: u16 = 0x200a;
    pub const LE_SET_SCAN_PARAMETERS: u16 = 0x200b;
    pub const LE_SET_SCAN_ENABLE: u16 = 0x200c;
    pub const LE_READ_ACCEPT_LIST_SIZE: u16 = 0x200f;
    pub const LE_READ_SUPPORTED_STATES: u16 = 0x201c;
}

/// A packet from the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FromHost<'a> {
    /// A command.
    Command(Command<'a>),
    /// The kernel has made the adapter `hciN`.
    Adapter(u16),
    /// Data of a connection, or something unknown.
    Other,
}

/// A command from the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Command<'a> {
    /// Group and number.
    pub opcode: u16,
    /// As long as it says, or less when it was cut off.
    pub parameters: &'a [u8],
}

impl<'a> FromHost<'a> {
    /// Reads a packet.
    pub fn parse(packet: &'a [u8]) -> Self {
        match packet {
            [COMMAND, low, high, len, parameters @ ..] => {
                let parameters = parameters.get(..usize::from(*len)).unwrap_or(parameters);
                Self::Command(Command { opcode: u16::from_le_bytes([*low, *high]), parameters })
            }
            [VENDOR, _, low, high, ..] => Self::Adapter(u16::from_le_bytes([*low, *high])),
            _ => Self::Other,
        }
    }
}

/// The answer to a command: its status and what it returns.
pub fn command_complete(opcode: u16, answer: &[u8]) -> Vec<u8> {
    let [low, high] = opcode.to_le_bytes();
    event(0x0e, &[&[1, low, high], answer])
}

/// An LE advertising report with one advert.
pub fn advertising_report(kind: u8, is_random: bool, address: Address, data: &[u8], rssi: i8) -> Vec<u8> {
    let data = data.get(..31).unwrap_or(data);
    let len = u8::try_from(data.len()).unwrap_or(0);
    event(0x3e, &[&[0x02, 1, kind, u8::from(is_random)], &address.to_le(), &[len], data, &rssi.to_le_bytes()])
}

fn event(code: u8, parts: &[&[u8]]) -> Vec<u8> {
    let parameters = parts.concat();
    // The longest answer is the local name, 249 bytes.
    let len = u8::try_from(parameters.len()).unwrap_or(u8::MAX);
    [&[EVENT, code, len], parameters.as_slice()].concat()
}

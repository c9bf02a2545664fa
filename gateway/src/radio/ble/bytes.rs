//! What BlueZ names back to the bytes that were on the air. Pure.

use uuid::Uuid;

use crate::beacon::ad;

/// Where the 32 free bits of a short UUID stand in the Bluetooth base UUID.
const BASE: u128 = 0x0000_0000_0000_1000_8000_0080_5f9b_34fb;

/// Appends the AD structure of a company's manufacturer data.
pub fn manufacturer_data(data: &mut Vec<u8>, company: u16, value: &[u8]) {
    ad::push(data, ad::MANUFACTURER, &[&company.to_le_bytes(), value]);
}

/// Appends the AD structure of a service's data.
pub fn service_data(data: &mut Vec<u8>, service: Uuid, value: &[u8]) {
    match short(service) {
        Some(short) => ad::push(data, ad::SERVICE_DATA_16, &[&short.to_le_bytes(), value]),
        None => ad::push(data, ad::SERVICE_DATA_128, &[&service.as_u128().to_le_bytes(), value]),
    }
}

/// Appends one AD structure for each service UUID.
pub fn services(data: &mut Vec<u8>, services: &[Uuid]) {
    for service in services {
        ad::push(data, ad::SERVICE_UUIDS_128_ALL, &[&service.as_u128().to_le_bytes()]);
    }
}

/// The 16-bit form of a UUID that has one.
pub fn short(uuid: Uuid) -> Option<u16> {
    let bits = uuid.as_u128();
    if bits & !(0xffff_u128 << 96) == BASE { u16::try_from(bits >> 96).ok() } else { None }
}

/// The address at the end of a BlueZ device path, `/org/bluez/hci0/dev_AA_BB_CC_DD_EE_FF`.
pub fn address(device: &str) -> Option<[u8; 6]> {
    let mut address = [0; 6];
    let mut digits = device.rsplit("dev_").next()?.split('_');
    for byte in &mut address {
        hex::decode_to_slice(digits.next()?, std::slice::from_mut(byte)).ok()?;
    }
    digits.next().is_none().then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut data = Vec::new();
        write(&mut data);
        data
    }

    #[test]
    fn names_become_the_structures_that_were_on_the_air() {
        assert_eq!(bytes(|d| manufacturer_data(d, 0x004c, &[2, 0x15])), [5, 0xff, 0x4c, 0x00, 2, 0x15]);
        let battery = Uuid::from_u128(0x0000_180f_0000_1000_8000_0080_5f9b_34fb);
        assert_eq!(bytes(|d| service_data(d, battery, &[99])), [4, 0x16, 0x0f, 0x18, 99]);
        let ours = Uuid::from_bytes([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
        let little = [16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1];
        assert_eq!(bytes(|d| service_data(d, ours, &[0x1c])), [&[18, 0x21][..], &little, &[0x1c]].concat());
        assert_eq!(bytes(|d| services(d, &[ours])), [&[17, 0x07][..], &little].concat());
        assert!(bytes(|d| manufacturer_data(d, 1, &[0; 300])).is_empty(), "no structure is that long");
    }

    #[test]
    fn the_address_is_read_from_the_path() {
        assert_eq!(address("/org/bluez/hci0/dev_AA_BB_CC_DD_EE_FF"), Some([0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff]));
        for other in [
            "hci0",
            "hci0/dev_AA_BB",
            "hci0/dev_AA_BB_CC_DD_EE_FF_00",
            "hci0/dev_A_BB_CC_DD_EE_FF",
            "hci0/dev_AA_BB_CC_DD_EE_+F",
            "/org/bluez/hci0/dev_AA_BB_CC_DD_EE_FF/service0001",
            "",
        ] {
            assert_eq!(address(other), None, "{other}");
        }
    }
}

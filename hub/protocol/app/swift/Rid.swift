import Foundation
#if canImport(CryptoKit)
import CryptoKit
#else
import Crypto
#endif

/// RID v1: what the app advertises. Times are milliseconds since 1970 on the hub's clock: add the offset to the phone's.
public enum Rid {
    public static let windowMs: Int64 = 900_000
    public static let windowsPerDay: Int64 = 96

    public static func window(_ at: Int64) -> Int64 { floorDiv(at, windowMs) }

    public static func day(_ window: Int64) -> Int64 { floorDiv(window, windowsPerDay) }

    /// Milliseconds until the advert must be changed.
    public static func untilNext(_ at: Int64) -> Int64 { windowMs - (at - window(at) * windowMs) }

    static func mac(_ key: [UInt8], _ message: [UInt8]) -> [UInt8] {
        Array(HMAC<SHA256>.authenticationCode(for: message, using: SymmetricKey(data: key)))
    }

    private static func floorDiv(_ a: Int64, _ b: Int64) -> Int64 {
        let quotient = a / b
        return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient
    }
}

/// The secret of one UTC day. Keep it in the keychain (after first unlock, this device only), and forget a day's key when the next one is made.
public struct ChainKey: Equatable {
    public let day: Int64
    public let key: [UInt8]

    public init(day: Int64, key: [UInt8]) {
        self.day = day
        self.key = key
    }

    public func next() -> ChainKey { ChainKey(day: day + 1, key: Rid.mac(key, Array("passage day".utf8))) }

    /// The key of a later day; nil for an earlier one, because nobody can go back.
    public func forDay(_ wanted: Int64) -> ChainKey? {
        guard wanted >= day, wanted <= day + 4096 else { return nil }
        var chain = self
        while chain.day < wanted { chain = chain.next() }
        return chain
    }

    public func rid(_ window: Int64) -> [UInt8] {
        let number = (0..<4).map { UInt8(truncatingIfNeeded: window >> (8 * (3 - $0))) }
        return Array(Rid.mac(key, Array("rid1".utf8) + number).prefix(8))
    }
}

public struct IBeacon: Equatable {
    public let uuid: UUID
    public let major: UInt16
    public let minor: UInt16
    public let power: Int8
}

/// The 10 bytes on the air, and how each carrier holds them.
public struct Payload: Equatable {
    public let bytes: [UInt8]

    /// What to advertise at `at`; nil before the key's day. `txPower` is the RSSI that a receiver sees at 1 m.
    public init?(chain: ChainKey, at: Int64, txPower: Int8) {
        let window = Rid.window(at)
        guard let today = chain.forDay(Rid.day(window)) else { return nil }
        bytes = [0x10 | UInt8(truncatingIfNeeded: window & 0x0f)] + today.rid(window) + [UInt8(bitPattern: txPower)]
    }

    /// iBeacon, while the app is open: `CLBeaconRegion(uuid:major:minor:identifier:)` and
    /// `region.peripheralData(withMeasuredPower: NSNumber(value: beacon.power))` go to `CBPeripheralManager.startAdvertising`.
    /// `brand` are 11 bytes.
    public func ibeacon(brand: [UInt8]) -> IBeacon {
        let all = brand + bytes.prefix(9)
        let number = { (i: Int) in UInt16(all[i]) << 8 | UInt16(all[i + 1]) }
        return IBeacon(uuid: Self.uuid(Array(all.prefix(16))), major: number(16), minor: number(18), power: Int8(bitPattern: bytes[9]))
    }

    /// A service UUID, while the app is open: `[CBAdvertisementDataServiceUUIDsKey: [CBUUID(nsuuid: uuid)]]`. `prefix` are the brand's 6 bytes.
    public func serviceUuid(prefix: [UInt8]) -> UUID { Self.uuid(prefix + bytes) }

    private static func uuid(_ b: [UInt8]) -> UUID {
        UUID(uuid: (b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]))
    }
}

import Foundation

// Holds the client against vectors.json.

var failures = 0
func same<T: Equatable>(_ what: String, _ expected: T, _ got: T) {
    if expected != got {
        failures += 1
        print("\(what): expected \(expected), got \(got)")
    }
}

func bytes(_ hex: String) -> [UInt8] {
    let digits = Array(hex)
    return stride(from: 0, to: digits.count, by: 2).map { UInt8(String(digits[$0...$0 + 1]), radix: 16)! }
}

func hex(_ bytes: [UInt8]) -> String { bytes.map { String(format: "%02x", $0) }.joined() }

let file = try Data(contentsOf: URL(fileURLWithPath: CommandLine.arguments[1]))
let v = try JSONSerialization.jsonObject(with: file) as! [String: Any]
func rows(_ name: String) -> [[String: Any]] { v[name] as! [[String: Any]] }
func long(_ row: [String: Any], _ name: String) -> Int64 { (row[name] as! NSNumber).int64Value }
let brand = v["brand"] as! [String: String]
let txPower = Int8((v["tx_power"] as! NSNumber).intValue)
let first = ChainKey(day: long(rows("keys")[0], "day"), key: bytes(rows("keys")[0]["key"] as! String))
for row in rows("keys") { same("key", row["key"] as! String, hex(first.forDay(long(row, "day"))!.key)) }
same("yesterday", nil, first.forDay(first.day - 1))
for row in rows("adverts") {
    let payload = Payload(chain: first, at: long(row, "at"), txPower: txPower)!
    same("window", long(row, "window"), Rid.window(long(row, "at")))
    same("payload", row["payload"] as! String, hex(payload.bytes))
    same("service_uuid", row["service_uuid"] as! String, payload.serviceUuid(prefix: bytes(brand["uuid_prefix"]!)).uuidString.lowercased())
    let told = IBeacon(
        uuid: UUID(uuidString: row["ibeacon_uuid"] as! String)!, major: UInt16(long(row, "ibeacon_major")),
        minor: UInt16(long(row, "ibeacon_minor")), power: Int8(long(row, "ibeacon_power")))
    same("ibeacon", told, payload.ibeacon(brand: bytes(brand["ibeacon"]!)))
}
for row in rows("offsets") {
    same("offset", long(row, "offset"), Clock.offset(server: long(row, "server"), sent: long(row, "sent"), received: long(row, "received")))
}
if failures > 0 { exit(1) }
print("swift: \(rows("adverts").count) adverts and \(rows("keys").count) keys agree")

import Foundation

/// What the hub answered. `retryAfter` are seconds, from the header of that name.
public struct Answer {
    public let status: Int
    public let body: Data
    public let retryAfter: Int64?

    public init(status: Int, body: Data, retryAfter: Int64? = nil) {
        self.status = status
        self.body = body
        self.retryAfter = retryAfter
    }
}

/// HTTPS, as the app likes it: URLSession. Nil when there is no net.
public typealias Transport = (_ method: String, _ path: String, _ bearer: String, _ body: Data?) -> Answer?

/// What the app keeps, in the keychain.
public struct Kept: Codable, Equatable {
    public let installation: String
    public let secret: String
    public let ridKey: String
    public let keyDay: Int64
    public let positionToken: String
    public let tokenExpires: Int64
    public let refreshAfter: Int64
    public let offset: Int64
}

/// What the app has to do after a call.
public enum Outcome: Equatable {
    /// Keep this in place of what was kept.
    case keep(Kept)
    /// The hub did it and tells nothing.
    case done
    /// Stop advertising, forget everything, and ask her before enrolling again.
    case ended
    /// No net, or the hub is busy: go on with what is kept and try again after so many milliseconds.
    case later(Int64)
    /// The hub refused for good; the code says why.
    case refused(code: String, detail: String)
}

public enum Clock {
    /// What to add to the phone's clock: the answer was made about half way between question and answer.
    public static func offset(server: Int64, sent: Int64, received: Int64) -> Int64 { server - (sent + received) / 2 }
}

/// The calls of an enrolled app. Enrolment itself goes through the brand's server, which knows who logged in; it hands the hub's answer on.
public struct Installation {
    let transport: Transport
    let now: () -> Int64

    public init(transport: @escaping Transport, now: @escaping () -> Int64) {
        self.transport = transport
        self.now = now
    }

    /// The answer of `POST /v1/app/installations`, as the brand's server passed it on. `sent` is the phone's clock when it asked.
    public func enrolled(_ answer: Answer, sent: Int64) -> Outcome {
        outcome(answer) { told in
            guard let secret = told["app_secret"] as? String else { return nil }
            return keep(told, secret: secret, sent: sent)
        }
    }

    /// New token, today's key, and the offset of the clock. Call it when `refreshDue` says so, and when the app starts.
    public func refresh(_ kept: Kept) -> Outcome { renew(kept, "refresh") }

    /// The key may be in wrong hands: a new one, and the old one ends.
    public func rotate(_ kept: Kept) -> Outcome { renew(kept, "rotate") }

    /// She changed her mind about purposes. `wording` has the id, version and language of the text that she read; nil if she only withdraws.
    public func purposes(_ kept: Kept, grant: [String], withdraw: [String], wording: [String: String]?) -> Outcome {
        var body: [String: Any] = ["grant": grant, "withdraw": withdraw]
        body["wording"] = wording
        return outcome(call("POST", kept, "/purposes", body)) { $0["ended"] as? Bool == true ? .ended : .done }
    }

    /// This phone shall not be detected any more. What is kept is forgotten when the hub has heard of it; until then try again.
    public func delete(_ kept: Kept) -> Outcome { outcome(call("DELETE", kept, "", nil)) { _ in .ended } }

    /// True when a refresh is due.
    public func refreshDue(_ kept: Kept) -> Bool { hubTime(kept) >= kept.refreshAfter }

    /// What the hub's clock shows now, as far as is known.
    public func hubTime(_ kept: Kept) -> Int64 { now() + kept.offset }

    private func renew(_ kept: Kept, _ call: String) -> Outcome {
        let sent = now()
        return outcome(self.call("POST", kept, "/" + call, ["client_time": sent])) { keep($0, secret: kept.secret, sent: sent) }
    }

    private func call(_ method: String, _ kept: Kept, _ path: String, _ body: [String: Any]?) -> Answer? {
        let data = body.flatMap { try? JSONSerialization.data(withJSONObject: $0) }
        return transport(method, "/v1/app/installations/" + kept.installation + path, kept.secret, data)
    }

    private func outcome(_ answer: Answer?, _ good: ([String: Any]) -> Outcome?) -> Outcome {
        guard let answer = answer else { return .later(60_000) }
        let told = (try? JSONSerialization.jsonObject(with: answer.body)) as? [String: Any] ?? [:]
        switch answer.status {
        case 200...299:
            return good(told) ?? .refused(code: "malformed", detail: "the hub's answer lacks a field")
        case 401, 404:
            return .ended
        case 429, 500...:
            return .later((answer.retryAfter ?? 60) * 1000)
        default:
            return .refused(code: told["code"] as? String ?? "", detail: told["detail"] as? String ?? "")
        }
    }

    private func keep(_ told: [String: Any], secret: String, sent: Int64) -> Outcome? {
        let number = { (name: String) in (told[name] as? NSNumber)?.int64Value }
        guard let installation = told["installation"] as? String, let ridKey = told["rid_key"] as? String,
            let token = told["position_token"] as? String, let day = number("key_day"), let expires = number("token_expires"),
            let refresh = number("refresh_after"), let server = number("server_time")
        else { return nil }
        let offset = Clock.offset(server: server, sent: sent, received: now())
        return .keep(
            Kept(
                installation: installation, secret: secret, ridKey: ridKey, keyDay: day, positionToken: token, tokenExpires: expires,
                refreshAfter: refresh, offset: offset))
    }
}

/// App events: the shop's own beacon woke the app. The body of `POST /v1/app/events` to the position gateway, with the position token as bearer.
public enum AppEvent {
    public static func body(uuid: UUID, major: UInt16, minor: UInt16, rssi: Int, phase: String, at: Int64) -> [String: Any] {
        ["wake": ["uuid": uuid.uuidString.lowercased(), "major": Int(major), "minor": Int(minor), "rssi": rssi], "phase": phase, "at": at]
    }
}

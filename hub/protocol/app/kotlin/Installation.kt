package passage

/** What the hub answered. `retryAfter` are seconds, from the header of that name. */
class Answer(val status: Int, val body: String, val retryAfter: Long? = null)

/** HTTPS, as the app likes it: OkHttp, HttpURLConnection. Throws when there is no net. */
interface Transport {
    fun send(method: String, path: String, bearer: String, body: String?): Answer
}

/** Clock of the phone, so that tests can have their own. */
interface PhoneClock {
    fun now(): Long
}

/** What the app keeps, encrypted (EncryptedSharedPreferences or the like). */
data class Kept(
    val installation: String,
    val secret: String,
    val ridKey: String,
    val keyDay: Long,
    val positionToken: String,
    val tokenExpires: Long,
    val refreshAfter: Long,
    val offset: Long
)

/** What the app has to do after a call. */
sealed class Outcome {
    /** Keep this in place of what was kept. */
    data class Keep(val kept: Kept) : Outcome()
    /** The hub did it and tells nothing. */
    object Done : Outcome()
    /** Stop advertising, forget everything, and ask her before enrolling again. */
    object Ended : Outcome()
    /** No net, or the hub is busy: go on with what is kept and try again after so many milliseconds. */
    data class Later(val afterMs: Long) : Outcome()
    /** The hub refused for good; `code` says why. */
    data class Refused(val code: String, val detail: String) : Outcome()
}

/** The calls of an enrolled app. Enrolment itself goes through the brand's server, which knows who logged in; it hands the hub's answer on. */
class Installation(private val transport: Transport, private val clock: PhoneClock) {
    /** The answer of `POST /v1/app/installations`, as the brand's server passed it on. `sent` is the phone's clock when it asked. */
    fun enrolled(answer: Answer, sent: Long): Outcome = outcome(answer) { keep(it, it["app_secret"] as String, sent) }

    /** New token, today's key, and the offset of the clock. Call it when `refreshDue` says so, and when the app starts. */
    fun refresh(kept: Kept): Outcome = renew(kept, "refresh")

    /** The key may be in wrong hands: a new one, and the old one ends. */
    fun rotate(kept: Kept): Outcome = renew(kept, "rotate")

    /** She changed her mind about purposes. `wording` is the JSON object of the text that she read; null if she only withdraws. */
    fun purposes(kept: Kept, grant: List<String>, withdraw: List<String>, wording: String?): Outcome {
        val list = { words: List<String> -> words.joinToString(",", "[", "]") { Json.quote(it) } }
        val text = if (wording == null) "" else ",\"wording\":$wording"
        val answer = call("POST", kept, "/purposes", "{\"grant\":${list(grant)},\"withdraw\":${list(withdraw)}$text}")
        return outcome(answer) { if (it["ended"] == true) Outcome.Ended else Outcome.Done }
    }

    /** This phone shall not be detected any more. What is kept is forgotten when the hub has heard of it; until then try again. */
    fun delete(kept: Kept): Outcome = outcome(call("DELETE", kept, "", null)) { Outcome.Ended }

    /** True when a refresh is due. */
    fun refreshDue(kept: Kept): Boolean = hubTime(kept) >= kept.refreshAfter

    /** What the hub's clock shows now, as far as is known. */
    fun hubTime(kept: Kept): Long = clock.now() + kept.offset

    private fun renew(kept: Kept, call: String): Outcome {
        val sent = clock.now()
        return outcome(call("POST", kept, "/$call", "{\"client_time\":$sent}")) { keep(it, kept.secret, sent) }
    }

    private fun call(method: String, kept: Kept, path: String, body: String?): Answer? = try {
        transport.send(method, "/v1/app/installations/${kept.installation}$path", kept.secret, body)
    } catch (e: java.io.IOException) {
        null
    }

    private fun outcome(answer: Answer?, good: (Map<String, Any?>) -> Outcome): Outcome = when {
        answer == null -> Outcome.Later(60_000)
        answer.status in 200..299 -> good(if (answer.body == "") emptyMap() else Json.map(answer.body))
        answer.status == 404 || answer.status == 401 -> Outcome.Ended
        answer.status == 429 || answer.status >= 500 -> Outcome.Later((answer.retryAfter ?: 60) * 1000)
        else -> Json.map(answer.body).let { Outcome.Refused(it["code"] as String, it["detail"] as String) }
    }

    private fun keep(it: Map<String, Any?>, secret: String, sent: Long): Outcome {
        val number = { name: String -> (it[name] as Number).toLong() }
        val offset = Clock.offset(number("server_time"), sent, clock.now())
        return Outcome.Keep(
            Kept(
                it["installation"] as String, secret, it["rid_key"] as String, number("key_day"),
                it["position_token"] as String, number("token_expires"), number("refresh_after"), offset
            )
        )
    }
}

object Clock {
    /** What to add to the phone's clock: the answer was made about half way between question and answer. */
    fun offset(server: Long, sent: Long, received: Long): Long = server - (sent + received) / 2
}

/** App events: the shop's own beacon woke the app. The body of `POST /v1/app/events` to the position gateway, with the position token as bearer. */
object AppEvent {
    fun body(uuid: String, major: Int, minor: Int, rssi: Int, phase: String, at: Long): String =
        "{\"wake\":{\"uuid\":${Json.quote(uuid)},\"major\":$major,\"minor\":$minor,\"rssi\":$rssi},\"phase\":${Json.quote(phase)},\"at\":$at}"
}

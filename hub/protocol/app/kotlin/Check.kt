package passage

import java.io.File
import kotlin.system.exitProcess

/** Holds the client against vectors.json, and plays the calls against a transport of its own. */
fun main(args: Array<String>) {
    val failures = ArrayList<String>()
    fun same(what: String, expected: Any?, got: Any?) { if (expected != got) failures.add("$what: expected $expected, got $got") }
    val v = Json.map(File(args[0]).readText())
    @Suppress("UNCHECKED_CAST")
    fun list(name: String) = v[name] as List<Map<String, Any?>>
    @Suppress("UNCHECKED_CAST")
    val brand = v["brand"] as Map<String, String>
    fun long(row: Map<String, Any?>, name: String) = row[name] as Long
    val first = list("keys")[0].let { ChainKey(long(it, "day"), bytes(it["key"] as String)) }
    for (row in list("keys")) same("key", row["key"], hex(first.forDay(long(row, "day"))!!.key))
    same("yesterday", null, first.forDay(first.day - 1))
    for (row in list("adverts")) {
        val payload = Payload.at(first, long(row, "at"), (v["tx_power"] as Long).toInt())!!
        same("window", row["window"], Rid.window(long(row, "at")))
        same("payload", row["payload"], hex(payload.serviceData()))
        same("service_uuid", row["service_uuid"], payload.serviceUuid(bytes(brand.getValue("uuid_prefix"))))
        val beacon = payload.ibeacon(bytes(brand.getValue("ibeacon")))
        val told = IBeacon(row["ibeacon_uuid"] as String, long(row, "ibeacon_major").toInt(), long(row, "ibeacon_minor").toInt(), long(row, "ibeacon_power").toInt())
        same("ibeacon", told, beacon)
    }
    for (row in list("offsets")) same("offset", row["offset"], Clock.offset(long(row, "server"), long(row, "sent"), long(row, "received")))
    calls(::same)
    failures.forEach(::println)
    if (failures.isNotEmpty()) exitProcess(1)
    println("kotlin: ${list("adverts").size} adverts, ${list("keys").size} keys and the calls agree")
}

private fun calls(same: (String, Any?, Any?) -> Unit) {
    val keys = """{"installation":"i-1","rid_key":"AA==","key_day":20777,"position_token":"t","token_expires":90,"refresh_after":50,"server_time":40,"app_secret":"s"}"""
    var answer: Answer? = null
    val asked = ArrayList<String>()
    val transport = object : Transport {
        override fun send(method: String, path: String, bearer: String, body: String?): Answer {
            asked.add("$method $path $bearer ${body ?: ""}")
            return answer ?: throw java.io.IOException("no net")
        }
    }
    val app = Installation(transport, object : PhoneClock { override fun now() = 10L })
    val kept = (app.enrolled(Answer(201, keys), 10) as Outcome.Keep).kept
    same("enrolled", Kept("i-1", "s", "AA==", 20777, "t", 90, 50, 30), kept)
    same("due", false, app.refreshDue(kept))
    same("off line", Outcome.Later(60_000), app.refresh(kept))
    answer = Answer(200, keys.replace(",\"app_secret\":\"s\"", ""))
    same("refreshed", Outcome.Keep(kept), app.refresh(kept))
    answer = Answer(429, "", 7)
    same("too often", Outcome.Later(7_000), app.rotate(kept))
    answer = Answer(403, """{"code":"presence-not-granted","detail":"d"}""")
    same("refused", Outcome.Refused("presence-not-granted", "d"), app.refresh(kept))
    answer = Answer(200, """{"granted":[],"ended":true}""")
    same("withdrawn", Outcome.Ended, app.purposes(kept, emptyList(), listOf("presence"), null))
    answer = Answer(204, "")
    same("deleted", Outcome.Ended, app.delete(kept))
    same("asked", "POST /v1/app/installations/i-1/refresh s {\"client_time\":10}", asked[0])
    same("asked last", "DELETE /v1/app/installations/i-1 s ", asked.last())
}

private fun hex(bytes: ByteArray) = bytes.joinToString("") { "%02x".format(it) }

private fun bytes(hex: String) = ByteArray(hex.length / 2) { hex.substring(2 * it, 2 * it + 2).toInt(16).toByte() }

package passage

import javax.crypto.Mac
import javax.crypto.spec.SecretKeySpec

/** RID v1: what the app advertises. Times are milliseconds since 1970 on the hub's clock: add the offset to the phone's. */
object Rid {
    const val WINDOW_MS = 900_000L
    const val WINDOWS_PER_DAY = 96L

    fun window(at: Long): Long = Math.floorDiv(at, WINDOW_MS)

    fun day(window: Long): Long = Math.floorDiv(window, WINDOWS_PER_DAY)

    /** Milliseconds until the advert must be changed. */
    fun untilNext(at: Long): Long = WINDOW_MS - Math.floorMod(at, WINDOW_MS)

    internal fun mac(key: ByteArray, message: ByteArray): ByteArray {
        val mac = Mac.getInstance("HmacSHA256")
        mac.init(SecretKeySpec(key, "HmacSHA256"))
        return mac.doFinal(message)
    }
}

/** The secret of one UTC day. Keep it in the Keystore, and forget a day's key when the next one is made. */
class ChainKey(val day: Long, val key: ByteArray) {
    fun next() = ChainKey(day + 1, Rid.mac(key, "passage day".toByteArray(Charsets.US_ASCII)))

    /** The key of a later day; null for an earlier one, because nobody can go back. */
    fun forDay(wanted: Long): ChainKey? {
        if (wanted < day || wanted > day + 4096) return null
        var chain = this
        while (chain.day < wanted) chain = chain.next()
        return chain
    }

    fun rid(window: Long): ByteArray {
        val number = ByteArray(4) { i -> (window shr (8 * (3 - i))).toByte() }
        return Rid.mac(key, "rid1".toByteArray(Charsets.US_ASCII) + number).copyOf(8)
    }
}

/** The 10 bytes on the air, and how each carrier holds them. */
class Payload(val bytes: ByteArray) {
    companion object {
        /** What to advertise at `at`; null before the key's day. `txPower` is the RSSI that a receiver sees at 1 m. */
        fun at(chain: ChainKey, at: Long, txPower: Int): Payload? {
            val window = Rid.window(at)
            val today = chain.forDay(Rid.day(window)) ?: return null
            val head = (0x10 or Math.floorMod(window, 16L).toInt()).toByte()
            return Payload(byteArrayOf(head) + today.rid(window) + byteArrayOf(txPower.toByte()))
        }
    }

    /**
     * Android: `AdvertiseData.Builder().addServiceData(ParcelUuid(serviceUuid), payload.bytes)`, without the device's name, not connectable, so that
     * the 31 bytes of a legacy advert are enough.
     */
    fun serviceData(): ByteArray = bytes

    /** iBeacon, an iPhone whose app is open: UUID, major, minor, power. `brand` are 11 bytes. */
    fun ibeacon(brand: ByteArray): IBeacon {
        val all = brand + bytes.copyOf(9)
        val number = { i: Int -> ((all[i].toInt() and 0xff) shl 8) or (all[i + 1].toInt() and 0xff) }
        return IBeacon(uuid(all.copyOf(16)), number(16), number(18), bytes[9].toInt())
    }

    /** A service UUID, an iPhone whose app is open. `prefix` are the brand's 6 bytes. */
    fun serviceUuid(prefix: ByteArray): String = uuid(prefix + bytes)

    private fun uuid(sixteen: ByteArray): String {
        val hex = sixteen.joinToString("") { "%02x".format(it) }
        return listOf(0..7, 8..11, 12..15, 16..19, 20..31).joinToString("-") { hex.substring(it) }
    }
}

data class IBeacon(val uuid: String, val major: Int, val minor: Int, val power: Int)

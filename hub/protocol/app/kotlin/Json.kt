package passage

/** As much of JSON as the hub speaks; an app may use its own library instead. Numbers are Long or Double. */
class Json private constructor(private val text: String) {
    private var at = 0

    companion object {
        @Suppress("UNCHECKED_CAST")
        fun map(text: String): Map<String, Any?> = Json(text).value() as Map<String, Any?>

        fun quote(text: String): String = "\"" + text.replace("\\", "\\\\").replace("\"", "\\\"") + "\""
    }

    private fun value(): Any? {
        blanks()
        return when (text[at]) {
            '{' -> members()
            '[' -> items()
            '"' -> string()
            't' -> word("true", true)
            'f' -> word("false", false)
            'n' -> word("null", null)
            else -> number()
        }
    }

    private fun members(): Map<String, Any?> {
        val out = LinkedHashMap<String, Any?>()
        list('}') {
            blanks()
            val name = string()
            expect(':')
            out[name] = value()
        }
        return out
    }

    private fun items(): List<Any?> {
        val out = ArrayList<Any?>()
        list(']') { out.add(value()) }
        return out
    }

    private fun list(end: Char, item: () -> Unit) {
        at++
        blanks()
        if (text[at] == end) { at++; return }
        while (true) {
            item()
            blanks()
            if (text[at++] == end) return
        }
    }

    private fun string(): String {
        val out = StringBuilder()
        at++
        while (text[at] != '"') {
            var c = text[at++]
            if (c == '\\') {
                c = text[at++]
                c = when (c) {
                    'n' -> '\n'
                    't' -> '\t'
                    'r' -> '\r'
                    'u' -> text.substring(at, at + 4).toInt(16).toChar().also { at += 4 }
                    else -> c
                }
            }
            out.append(c)
        }
        at++
        return out.toString()
    }

    private fun number(): Number {
        val from = at
        while (at < text.length && text[at] in "+-.eE0123456789") at++
        val digits = text.substring(from, at)
        return digits.toLongOrNull() ?: digits.toDouble()
    }

    private fun word(word: String, value: Any?): Any? {
        at += word.length
        return value
    }

    private fun expect(c: Char) {
        blanks()
        require(text[at++] == c) { "$c is missing" }
    }

    private fun blanks() {
        while (text[at].isWhitespace()) at++
    }
}

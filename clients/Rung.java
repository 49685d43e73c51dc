// A Rung client of Java's standard library:  java Rung.java URL USER-OR-TOKEN CURSOR-FILE
// Sends each line "to<TAB>text" of stdin, prints "seq<TAB>from<TAB>text" for each
// message; \t \n \r \\ stand for a tab, a line's end, a return and a backslash.
import java.io.*;
import java.net.URI;
import java.net.http.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.ThreadLocalRandom;

public class Rung {
    static final HttpClient http = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1)
        .connectTimeout(Duration.ofSeconds(15)).build();
    static String url, token;

    @SuppressWarnings("serial")
    static class Refused extends Exception {
        final int status;
        Refused(int status, String text) { super("refused: " + status + " " + text); this.status = status; }
    }

    /** The definite answer: asks until there is one. body null: GET. */
    static Map<?, ?> ask(String path, String body) throws Refused, InterruptedException {
        var asking = HttpRequest.newBuilder(URI.create(url + path)).timeout(Duration.ofSeconds(40));
        if (body != null) asking.POST(HttpRequest.BodyPublishers.ofString(body));
        if (token != null) asking.header("Authorization", "Bearer " + token);
        var request = asking.build();
        for (int attempt = 0;; attempt++) {
            Object afterMs = null;
            try {
                var got = http.send(request, HttpResponse.BodyHandlers.ofString());
                int status = got.statusCode();
                if (status >= 300 && status < 500 && status != 429) throw new Refused(status, got.body());
                var answer = (Map<?, ?>) new Json(got.body()).whole();
                if (status == 200) return answer;
                afterMs = ((Map<?, ?>) answer.get("error")).get("retry_after_ms");
            } catch (IOException | RuntimeException nobodyThereOrNotItsAnswer) {
            }
            // Full jitter: evenly from 0 to a ceiling that doubles up to 32 s.
            long jitter = ThreadLocalRandom.current().nextLong(500L << Math.min(attempt, 6));
            Thread.sleep(jitter + (afterMs instanceof Number n ? n.longValue() : 0));
        }
    }

    static void send() {
        try {
            var in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
            for (String line; (line = in.readLine()) != null;) {
                int tab = line.indexOf('\t');
                String to = tab < 0 ? line : line.substring(0, tab);
                String text = tab < 0 ? "" : unescape(line.substring(tab + 1));
                // The id is made once, so a message stored but not answered is not doubled.
                String message = "{\"to\":" + Json.quote(to) + ",\"client_msg_id\":\"" + UUID.randomUUID()
                    + "\",\"body\":{\"text\":" + Json.quote(text) + "}}";
                try {
                    ask("/v1/message.send", message);
                } catch (Refused refused) {
                    System.err.println(refused.getMessage());
                    if (refused.status == 401) System.exit(1); // no token, no client
                }
            }
        } catch (IOException | InterruptedException end) {
        }
    }

    static void follow(Path file) throws Exception {
        var out = new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8);
        Object cursor = Files.exists(file) ? Files.readString(file).trim() : "0";
        while (true) {
            var answer = ask("/v1/longpoll?wait=25&cursor=" + cursor, null);
            long pauseMs = 0;
            for (Object each : (List<?>) answer.get("events")) {
                var event = (Map<?, ?>) each;
                Object kind = event.get("event");
                if (kind.equals("message")) {
                    Object text = event.get("body") instanceof Map<?, ?> body ? body.get("text") : null;
                    if (!(text instanceof String)) text = "[" + event.get("type") + "]";
                    out.print(event.get("seq") + "\t" + event.get("from") + "\t" + escape((String) text) + "\n");
                } else if (kind.equals("gap") || kind.equals("reset") || kind.equals("bye")) {
                    // gap: retention took some. reset: another log. bye: come back later.
                    System.err.println(event);
                    if (event.get("retry_after_ms") instanceof Number ms) pauseMs = ms.longValue();
                }
            }
            out.flush();
            cursor = answer.get("cursor");
            Path written = Files.writeString(Path.of(file + ".new"), cursor + "\n");
            Files.move(written, file, StandardCopyOption.ATOMIC_MOVE); // handled: never again
            Thread.sleep(pauseMs);
        }
    }

    static String escape(String text) {
        return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r");
    }

    static String unescape(String text) {
        return java.util.regex.Pattern.compile("\\\\([\\\\tnr])").matcher(text).replaceAll(found ->
            java.util.regex.Matcher.quoteReplacement("\\\t\n\r".charAt("\\tnr".indexOf(found.group(1))) + ""));
    }

    public static void main(String[] args) throws Exception {
        url = args[0];
        try {
            boolean isToken = args[1].matches("eyJ.*\\..*\\..*");
            token = isToken ? args[1]
                : (String) ask("/v1/demo.login", "{\"user\":" + Json.quote(args[1]) + "}").get("token");
            var sender = new Thread(Rung::send);
            sender.setDaemon(true);
            sender.start();
            follow(Path.of(args[2]));
        } catch (Refused refused) {
            System.err.println(refused.getMessage());
            System.exit(1);
        }
    }

    /** JSON, which Java's library lacks: maps, lists, strings, numbers, true, false, null. */
    static class Json {
        final String text;
        int at;

        Json(String text) { this.text = text; }

        Object whole() {
            Object value = value();
            if (skip() != 0) throw new IllegalArgumentException("more than one value");
            return value;
        }

        char skip() { // blanks; gives what comes next, 0 at the end
            while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) at++;
            return at < text.length() ? text.charAt(at) : 0;
        }

        boolean take(char wanted) {
            boolean there = skip() == wanted;
            if (there) at++;
            return there;
        }

        void need(char wanted) {
            if (!take(wanted)) throw new IllegalArgumentException(wanted + " wanted at " + at);
        }

        Object value() {
            switch (skip()) {
            case '{':
                var map = new LinkedHashMap<String, Object>();
                at++;
                for (boolean more = !take('}'); more; more = !take('}')) {
                    if (!map.isEmpty()) need(',');
                    String name = string();
                    need(':');
                    map.put(name, value());
                }
                return map;
            case '[':
                var list = new ArrayList<Object>();
                at++;
                for (boolean more = !take(']'); more; more = !take(']')) {
                    if (!list.isEmpty()) need(',');
                    list.add(value());
                }
                return list;
            case '"':
                return string();
            default:
                int from = at;
                while (at < text.length() && ",]} \t\r\n".indexOf(text.charAt(at)) < 0) at++;
                String word = text.substring(from, at);
                if (word.equals("null")) return null;
                if (word.equals("true") || word.equals("false")) return word.equals("true");
                return new java.math.BigDecimal(word);
            }
        }

        String string() {
            var out = new StringBuilder();
            need('"');
            for (char c; (c = text.charAt(at++)) != '"';) {
                if (c == '\\') {
                    c = text.charAt(at++);
                    if (c == 'u') c = (char) Integer.parseInt(text.substring(at, at += 4), 16);
                    else c = "\"\\/\b\f\n\r\t".charAt("\"\\/bfnrt".indexOf(c));
                }
                out.append(c);
            }
            return out.toString();
        }

        static String quote(String text) {
            var out = new StringBuilder("\"");
            for (char c : text.toCharArray())
                if (c == '"' || c == '\\') out.append('\\').append(c);
                else if (c < ' ') out.append(String.format("\\u%04x", (int) c));
                else out.append(c);
            return out.append('"').toString();
        }
    }
}

<?php
// A Rung client of PHP's streams:  php rung.php URL USER-OR-TOKEN CURSOR-FILE
// Sends each line "to<TAB>text" of stdin, prints "seq<TAB>from<TAB>text" for each
// message; \t \n \r \\ stand for a tab, a line's end, a return and a backslash.

[, $url, $who, $file] = $argv;
$at = parse_url($url) + ['port' => str_starts_with($url, 'https:') ? 443 : 80, 'path' => ''];
$peer = ($at['scheme'] === 'https' ? 'tls' : 'tcp') . "://{$at['host']}:{$at['port']}";
$token = null;
const ESCAPES = ['\\' => '\\\\', "\t" => '\t', "\n" => '\n', "\r" => '\r'];

/** Ask, and give the stream that the answer will come on; HTTP/1.0 ends it with its close. */
function ask(string $path, ?array $params = null)
{
    global $at, $peer, $token;
    $stream = @stream_socket_client($peer, $errno, $error, 15);
    if (!$stream) return null;
    stream_set_timeout($stream, 40);
    $body = $params ? json_encode($params, JSON_INVALID_UTF8_SUBSTITUTE) : '';
    @fwrite($stream, ($params ? 'POST' : 'GET') . " {$at['path']}$path HTTP/1.0\r\nHost: {$at['host']}:{$at['port']}\r\n"
        . ($token ? "Authorization: Bearer $token\r\n" : '') . 'Content-Length: ' . strlen($body) . "\r\n\r\n$body");
    return $stream;
}

/** The definite answer on a stream, or null after a pause: ask again. A refusal throws. */
function answer($stream, int &$attempt): ?array
{
    $text = $stream ? (string) @stream_get_contents($stream) : '';
    if ($stream) fclose($stream);
    $status = (int) substr($text, 9, 3);
    $json = json_decode(explode("\r\n\r\n", $text, 2)[1] ?? '', true);
    if ($status >= 300 && $status < 500 && $status !== 429)
        throw new RuntimeException("refused: $status " . json_encode($json), $status);
    if ($status === 200 && is_array($json)) {
        $attempt = 0;
        return $json;
    }
    // Full jitter: evenly from 0 to a ceiling that doubles up to 32 s.
    pause(($json['error']['retry_after_ms'] ?? 0) + random_int(0, 500 << min($attempt++, 6)));
    return null;
}

function pause(int $ms): void
{
    usleep($ms * 1000);
}

function send(string $line): void
{
    [$to, $text] = explode("\t", rtrim($line, "\n"), 2) + [1 => ''];
    // The id is made once, so a message stored but not answered is not doubled.
    $message = ['to' => $to, 'client_msg_id' => bin2hex(random_bytes(16)),
                'body' => ['text' => strtr($text, array_flip(ESCAPES))]];
    $attempt = 0;
    try {
        while (!answer(ask('/v1/message.send', $message), $attempt));
    } catch (RuntimeException $refusal) {
        if ($refusal->getCode() === 401) throw $refusal; // no token, no client
        fwrite(STDERR, $refusal->getMessage() . "\n");
    }
}

function handle(array $answer): void
{
    global $file;
    $pause_ms = 0;
    foreach ($answer['events'] as $event) {
        if ($event['event'] === 'message') {
            $text = is_array($event['body']) ? $event['body']['text'] ?? null : null;
            $text = is_string($text) ? $text : "[{$event['type']}]";
            echo "{$event['seq']}\t{$event['from']}\t" . strtr($text, ESCAPES) . "\n";
        } elseif (in_array($event['event'], ['gap', 'reset', 'bye'])) {
            // gap: retention took some. reset: another log. bye: come back later.
            fwrite(STDERR, json_encode($event) . "\n");
            $pause_ms = $event['retry_after_ms'] ?? 0;
        }
    }
    file_put_contents("$file.new", "{$answer['cursor']}\n");
    rename("$file.new", $file); // handled: never again
    pause($pause_ms);
}

try {
    $attempt = 0;
    $login = preg_match('/^eyJ.*\..*\./', $who) ? ['token' => $who] : null;
    while (!$login) $login = answer(ask('/v1/demo.login', ['user' => $who]), $attempt);
    $token = $login['token'];
    $cursor = is_file($file) ? trim(file_get_contents($file)) : '0';
    for ($typing = true;;) {
        $poll ??= ask("/v1/longpoll?wait=25&cursor=$cursor");
        $ready = array_filter([$typing ? STDIN : null, $poll]);
        $none = null;
        if (!$poll || !stream_select($ready, $none, $none, 40)) $ready = [$poll];
        if (in_array(STDIN, $ready, true)) {
            $line = fgets(STDIN);
            if ($line === false) $typing = false; // what comes is still printed
            else send($line);
        }
        if (!in_array($poll, $ready, true)) continue;
        $answer = answer($poll, $attempt);
        $poll = null;
        if (!$answer) continue;
        handle($answer);
        $cursor = $answer['cursor'];
    }
} catch (RuntimeException $refusal) {
    fwrite(STDERR, $refusal->getMessage() . "\n");
    exit(1);
}

#!/usr/bin/env python3
r"""A Rung client in Python's standard library: rung.py URL USER-OR-TOKEN CURSOR-FILE

Sends each line "to<TAB>text" of stdin, prints "seq<TAB>from<TAB>text" for each
message; \t \n \r \\ stand for a tab, a line's end, a return and a backslash."""
import http.client, json, os, random, re, signal, sys, threading, time, uuid
from urllib.error import HTTPError
from urllib.request import Request, urlopen

url, who, file = sys.argv[1:]
headers = {"Content-Type": "application/json"}
plain = {"\\": "\\", "t": "\t", "n": "\n", "r": "\r"}
escapes = str.maketrans({char: "\\" + name for name, char in plain.items()})


class Refused(Exception):
    """The server said no, and would say it again."""


def once(request):
    try:
        answer = urlopen(request, timeout=40)
    except HTTPError as error:
        answer = error  # an answer, too
    with answer:
        return answer.status, answer.read()


def ask(path, params=None):
    """The definite answer: asks until there is one, raises Refused."""
    data = None if params is None else json.dumps(params).encode()
    attempt = 0
    while True:
        status, answer, after_ms = 0, None, 0
        try:
            status, text = once(Request(url + path, data, headers))
            answer = json.loads(text)
        except (OSError, http.client.HTTPException, ValueError):
            pass  # nobody there, half an answer, a proxy's page
        if status == 200 and isinstance(answer, dict):
            return answer
        if 300 <= status < 500 and status != 429:
            raise Refused(status, text.decode(errors="replace"))
        if isinstance(answer, dict):
            after_ms = answer["error"].get("retry_after_ms", 0)
        # Full jitter: evenly from 0 to a ceiling that doubles up to 32 s.
        time.sleep(after_ms / 1000 + random.uniform(0, 0.5 * 2 ** min(attempt, 6)))
        attempt += 1


def send():
    for line in sys.stdin:
        to, _, text = line.rstrip("\n").partition("\t")
        text = re.sub(r"\\([\\tnr])", lambda match: plain[match[1]], text)
        # The id is made once, so a message stored but not answered is not doubled.
        message = {"to": to, "client_msg_id": str(uuid.uuid4()), "body": {"text": text}}
        try:
            ask("/v1/message.send", message)
        except Refused as error:
            print("refused:", *error.args, file=sys.stderr)
            if error.args[0] == 401:
                os._exit(1)  # no token, no client


def follow():
    cursor = open(file).read().strip() if os.path.exists(file) else "0"
    while True:
        answer = ask(f"/v1/longpoll?wait=25&cursor={cursor}")
        pause_ms = 0
        for event in answer["events"]:
            if event["event"] == "message":
                body = event["body"]
                text = body.get("text") if isinstance(body, dict) else None
                text = text if isinstance(text, str) else f"[{event['type']}]"
                print(event["seq"], event["from"], text.translate(escapes), sep="\t", flush=True)
            elif event["event"] in ("gap", "reset", "bye"):
                # gap: retention took some. reset: another log. bye: come back later.
                print(json.dumps(event), file=sys.stderr, flush=True)
                pause_ms = event.get("retry_after_ms", 0)
        cursor = answer["cursor"]
        with open(file + ".new", "w") as new:
            new.write(cursor + "\n")
        os.replace(file + ".new", file)  # handled: never again
        time.sleep(pause_ms / 1000)


signal.signal(signal.SIGINT, signal.SIG_DFL)  # any moment is a good one to stop
sys.stdin.reconfigure(encoding="utf-8", errors="replace", newline="\n")
sys.stdout.reconfigure(encoding="utf-8", newline="\n")
try:
    is_token = re.fullmatch(r"eyJ.*\..*\..*", who)
    token = who if is_token else ask("/v1/demo.login", {"user": who})["token"]
    headers["Authorization"] = "Bearer " + token
    threading.Thread(target=send, daemon=True).start()
    follow()
except Refused as error:
    sys.exit(f"refused: {error.args[0]} {error.args[1]}")

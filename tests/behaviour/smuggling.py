"""Requests that two parsers could read in two ways, each with a second request behind it or within it."""
import random

VICTIM = b"GET /v1/smuggled HTTP/1.1\r\nHost: vault\r\n\r\n"
HOST = b"Host: vault\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
BODY = b'{"purpose":"treatment"}'
GOOD_CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)

LENGTHS = {"sign": b"+23", "minus": b"-23", "hex": b"0x17", "leading zero": b"023", "list": b"23,23",
           "spaced list": b"23, 23", "other list": b"23, 0", "two numbers": b"2 3", "empty": b"", "semicolon": b"23;",
           "NUL": b"23\0", "wide digits": "２３".encode(), "fraction": b"23.0", "exponent": b"2e1",
           "tab within": b"2\t3", "past 64 bits": b"18446744073709551639", "huge": b"9" * 40, "word": b"chunked",
           "quoted": b'"23"', "vertical tab": b"\x0b23", "form feed": b"23\x0c", "no-break space": b"\xa023"}

CODINGS = {"space before colon": b"Transfer-Encoding : chunked", "tab before colon": b"Transfer-Encoding\t: chunked",
           "tab after colon": b"Transfer-Encoding:\tchunked", "vertical tab": b"Transfer-Encoding:\x0bchunked",
           "form feed": b"Transfer-Encoding: \x0cchunked", "NUL after": b"Transfer-Encoding: chunked\0",
           "NUL in name": b"Transfer-Encoding\0: chunked", "folded": b"X: y\r\n Transfer-Encoding: chunked",
           "folded by tab": b"X: y\r\n\tTransfer-Encoding: chunked", "folded value": b"Transfer-Encoding:\r\n chunked",
           "bare LF": b"X: y\nTransfer-Encoding: chunked", "bare CR": b"X: y\rTransfer-Encoding: chunked",
           "split name": b"Transfer-Encoding\r\n: chunked", "x": b"Transfer-Encoding: xchunked",
           "identity": b"Transfer-Encoding: identity", "list": b"Transfer-Encoding: identity, chunked",
           "list behind": b"Transfer-Encoding: chunked, identity",
           "twice in a list": b"Transfer-Encoding: chunked, chunked",
           "parameter": b"Transfer-Encoding: chunked;q=1", "quoted": b'Transfer-Encoding: "chunked"',
           "empty": b"Transfer-Encoding:", "comma": b"Transfer-Encoding: ,chunked", "gzip": b"Transfer-Encoding: gzip",
           "high byte": b"Transfer-Encoding: chunked\xff", "leading space": b" Transfer-Encoding: chunked",
           "two lines": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
           "two cases": b"Transfer-Encoding: chunked\r\ntransfer-encoding: identity",
           "empty and good": b"Transfer-Encoding:\r\nTransfer-Encoding: chunked"}

FIRST = b"%x" % len(BODY)
CHUNKS = {"extension": FIRST + b";a=b\r\n", "bare extension": FIRST + b";\r\n", "space behind": FIRST + b" \r\n",
          "space before": b" " + FIRST + b"\r\n", "tab behind": FIRST + b"\t\r\n", "sign": b"+" + FIRST + b"\r\n",
          "minus": b"-1\r\n", "0x": b"0x" + FIRST + b"\r\n", "leading zero": b"0" + FIRST + b"\r\n",
          "LF only": FIRST + b"\n", "CR only": FIRST + b"\r", "no digits": b"\r\n", "no hex": b"g\r\n",
          "64 bits": b"f" * 16 + b"\r\n", "past 64 bits": b"1" + b"0" * 15 + FIRST + b"\r\n",
          "13 digits": b"1" * 13 + b"\r\n",
          "many zeros": b"0" * 20 + FIRST + b"\r\n", "quoted": b'"' + FIRST + b'"\r\n', "underscore": b"1_7\r\n",
          "NUL": FIRST + b"\0\r\n", "LF in extension": FIRST + b";\n\r\n"}
ENDS = {"too long": BODY + b"X\r\n0\r\n\r\n", "LF behind data": BODY + b"\n0\r\n\r\n",
        "CR behind data": BODY + b"\r0\r\n\r\n",
        "nothing behind data": BODY + b"0\r\n\r\n", "trailer": BODY + b"\r\n0\r\nHost: evil\r\n\r\n",
        "trailing coding": BODY + b"\r\n0\r\nContent-Length: 5\r\n\r\n", "zeros": BODY + b"\r\n00\r\n\r\n",
        "last extension": BODY + b"\r\n0;a\r\n\r\n", "last LF": BODY + b"\r\n0\n\r\n", "end LF": BODY + b"\r\n0\r\n\n",
        "end without CR": BODY + b"\r\n0\r\n\nX", "minus nothing": BODY + b"\r\n-0\r\n\r\n"}

LINES = {"HTTP/1.0": b"GET /v1/status HTTP/1.0", "HTTP/2.0": b"PRI * HTTP/2.0", "HTTP/0.9": b"GET /v1/status",
         "small letters": b"GET /v1/status http/1.1", "HTTP/1.10": b"GET /v1/status HTTP/1.10",
         "two spaces": b"GET  /v1/status HTTP/1.1", "tab": b"GET\t/v1/status HTTP/1.1",
         "space in target": b"GET /v1/sta tus HTTP/1.1", "absolute": b"GET https://evil/v1/status HTTP/1.1",
         "authority": b"CONNECT evil:443 HTTP/1.1", "asterisk": b"OPTIONS * HTTP/1.1",
         "empty line": b"\r\nGET /v1/status HTTP/1.1",
         "fragment": b"GET /v1/status#x HTTP/1.1", "NUL": b"GET /v1/status\0 HTTP/1.1",
         "trailing space": b"GET /v1/status HTTP/1.1 ",
         "space first": b" GET /v1/status HTTP/1.1", "CR in target": b"GET /v1/status\rX: HTTP/1.1"}
FIELDS = {"no host": b"", "two hosts": HOST + HOST, "host with path": b"Host: vault/evil\r\n",
          "host with at": b"Host: a@vault\r\n",
          "no colon": HOST + b"nothing\r\n", "no name": HOST + b": x\r\n", "space in name": HOST + b"X Y: z\r\n",
          "folded": HOST + b"X: y\r\n z\r\n", "bare LF": HOST + b"X: y\nZ: a\r\n", "NUL": HOST + b"X: \0\r\n",
          "high byte": HOST + b"X: \xe9\r\n"}


def post(fields, body, target=b"POST /v1/decisions"):
    return target + b" HTTP/1.1\r\n" + HOST + fields + b"\r\n" + body


def both(name, coding, order):
    """Content-Length and Transfer-Encoding together: by one the second request is body, by the other it is not."""
    inside = b"0\r\n\r\n" + VICTIM
    length = b"Content-Length: %d\r\n" % len(inside)
    fields = length + coding + b"\r\n" if order == "CL.TE" else coding + b"\r\n" + length
    return f"{order} {name}", post(fields, inside)


def corpus(target=b"POST /v1/decisions"):
    """(name, bytes) of each; none of them may have an answer but a refusal, and none of them more than one."""
    for order in "CL.TE", "TE.CL":
        yield both("plain", b"Transfer-Encoding: chunked", order)
        for name, coding in CODINGS.items():
            yield both(name, coding, order)
    for name, coding in CODINGS.items():
        yield f"TE {name}", post(coding + b"\r\n", GOOD_CHUNKS + VICTIM, target)
    for name, length in LENGTHS.items():
        yield f"CL {name}", post(b"Content-Length: " + length + b"\r\n", BODY + VICTIM, target)
    good = b"Content-Length: %d\r\n" % len(BODY)
    for name, second in {"twice": good, "twice, other": b"Content-Length: 0\r\n", "small": good.lower(),
                         "space before colon": b"Content-Length : 0\r\n"}.items():
        yield f"CL {name}", post(good + second, BODY + VICTIM, target)
    for name, size in CHUNKS.items():
        yield f"chunk {name}", post(CHUNKED, size + BODY + b"\r\n0\r\n\r\n" + VICTIM, target)
    for name, end in ENDS.items():
        yield f"chunk end {name}", post(CHUNKED, FIRST + b"\r\n" + end + VICTIM, target)
    for name, line in LINES.items():
        yield f"line {name}", line + b"\r\n" + HOST + b"\r\n" + VICTIM
    for name, fields in FIELDS.items():
        yield f"field {name}", b"GET /v1/status HTTP/1.1\r\n" + fields + b"\r\n" + VICTIM
    for name, method in {"GET": b"GET /v1/policy", "DELETE": b"DELETE /v1/ethics/x",
                         "HEAD": b"HEAD /v1/policy"}.items():
        yield f"body of {name}", post(b"Content-Length: %d\r\n" % len(VICTIM), VICTIM, method)
        yield f"chunks of {name}", post(CHUNKED, GOOD_CHUNKS + VICTIM, method)


def combined(seed, count):
    """As many at random: one or more broken parts in one request, in any order."""
    chosen = random.Random(seed)
    for number in range(count):
        fields = [chosen.choice(list(CODINGS.values())) + b"\r\n", CHUNKED, b"X-Y: z\r\n",
                  b"Content-Length: " + chosen.choice(list(LENGTHS.values())) + b"\r\n"]
        fields = chosen.sample(fields, chosen.randint(2, 4)) + [chosen.choice([b"", b"Connection: keep-alive\r\n"])]
        if not any(f[:-2] in CODINGS.values() or f.startswith(b"Content-Length") for f in fields):
            fields.append(chosen.choice(list(CODINGS.values())) + b"\r\n")
        chosen.shuffle(fields)
        size = chosen.choice([FIRST + b"\r\n", *CHUNKS.values()])
        yield f"combined {seed}.{number}", post(b"".join(fields), size + chosen.choice(list(ENDS.values())) + VICTIM)
